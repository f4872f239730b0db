"""The peers of the paper: their files are listed, missing ones are said before the work begins."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from discontrolface.baselines import PEERS
from discontrolface.baselines.peer_weights import peer_weights
from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.evaluation.methods import method_names
from discontrolface.evaluation.other_weights import split_weights
from discontrolface.weights.asset_table import ASSETS, PEER_ASSETS

DOCS = Path(__file__).parents[1] / "docs" / "baselines.md"


def test_every_peer_has_a_method_files_and_a_section() -> None:
    text = DOCS.read_text()
    keys = [asset.key for asset in (*ASSETS, *PEER_ASSETS)]
    assert len(set(keys)) == len(keys)
    assert method_names("ours," + ",".join(PEERS)) == ("ours", *PEERS)
    for name, peer in PEERS.items():
        files = [asset for asset in PEER_ASSETS if asset.peer == name]
        assert files, name
        assert f"## {peer.label}" in text, name
        assert all(asset.source.split()[0] in text for asset in files), name
    assert {asset.peer for asset in PEER_ASSETS} == set(PEERS)


def test_the_listing_names_pages_and_licences(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["assets", "--assets-dir", str(tmp_path)])
    assert listed.exit_code == 0, listed.output
    for asset in PEER_ASSETS:
        for words in (asset.what, f"bring {asset.official}", asset.source, asset.licence):
            assert words in listed.output


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_without_its_file_is_said_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"method '{name}' needs .* which is missing: get .* from https://.*--weights {name}=PATH"):
        peer_weights(("ours", name), {}, tmp_path)
    assert peer_weights(("ours", name), {name: tmp_path}, tmp_path) == {}
    assert peer_weights(("ours", "warp"), {}, tmp_path) == {}
    command = ["evaluate", "--count", "1", "--methods", name, "-o", str(tmp_path / "x.json"), "--assets-dir", str(tmp_path)]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert f"--weights {name}=PATH" in refused.output
    assert not (tmp_path / "x.parts").exists()


def test_a_file_is_no_weights_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"x")
    assert split_weights({"diffusionrig": file}) == ({"diffusionrig": file}, {})
    with pytest.raises(UserError, match=r"mine: .* is a file; give a folder"):
        split_weights({"mine": file})
