"""What moves codes alone, on the command line: sample, interpolate, attributes, train latent. Tiny networks, drawn faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.networks import write_networks
from PIL import Image
from typer.testing import CliRunner, Result

from discontrolface.cli.app import app
from discontrolface.common.configs import PACKAGED
from discontrolface.common.example import example_photo
from discontrolface.common.provenance import read_provenance
from discontrolface.diffusion.attributes import AttributeDirections
from discontrolface.nets.exp_facenet import PAPER_MAPS
from discontrolface.nets.latent import MLPSkipNet
from discontrolface.training.latent import LatentTraining, train_latent
from discontrolface.weights.official import CELEBA_ATTRIBUTES

PHOTO = example_photo()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("codes")
    write_networks(folder, PAPER_MAPS, "none")
    return folder


@pytest.fixture(scope="module")
def latent(preset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train latent` at its smallest."""
    out: Path = tmp_path_factory.mktemp("latent")
    config = out / "latent.yaml"
    config.write_text((PACKAGED / "latent_debug.yaml").read_text().replace("portraits: 8", "portraits: 3"))
    result = run("train", "latent", "--config", config, "--preset", preset, "-o", out / "run")
    assert result.exit_code == 0, result.output
    assert "3 codes of 16 numbers" in result.output
    return out / "run" / "weights"


def test_faces_from_noise(preset: Path, latent: Path, tmp_path: Path) -> None:
    command = ("sample", "--preset", preset, "--count", "6", "--steps", "2", "--latent", latent)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        result = run(*command, "-o", tmp_path / f"{name}.png", "--seed", str(seed))
        assert result.exit_code == 0, result.output
    a, b, c = (pixels(tmp_path / f"{name}.png") for name in "abc")
    assert a.shape == (3 * 32, 2 * 32, 3)  # two columns
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    record = read_provenance(tmp_path / "a.png")
    assert record is not None
    assert "no photographed person" in record["statement"]
    assert record["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert (record["seed"], record["count"], record["source_sha256"]) == (0, 6, None)
    taken = run(*command, "-o", tmp_path / "a.png")
    assert taken.exit_code == 2
    assert "--overwrite" in taken.output


def test_sample_says_what_to_bring(preset: Path, tmp_path: Path) -> None:
    missing = run("sample", "--preset", "open", "-o", tmp_path / "a.png")
    assert missing.exit_code == 2
    assert "ffhq256_autoenc_latent/last.ckpt" in missing.output
    assert "train latent" in missing.output
    MLPSkipNet(channels=8, hidden_channels=16, num_layers=2, skip_layers=(1,)).save_pretrained(tmp_path / "other")
    other = run("sample", "--preset", preset, "--latent", tmp_path / "other", "-o", tmp_path / "a.png")
    assert other.exit_code == 2
    assert "codes of 8 numbers" in other.output
    for wrong, said in (
        (preset / "diffae", "holds another network (DiffAE), not the latent DPM"),
        (tmp_path / "nothing", "does not exist"),
    ):
        refused = run("sample", "--preset", preset, "--latent", wrong, "-o", tmp_path / "a.png")
        assert refused.exit_code == 2
        assert said in refused.output.replace("\n", " ")
    autoencoder = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"ema_model.encoder.input_blocks.0.0.weight": torch.zeros(1)}}, autoencoder)
    refused = run("sample", "--preset", preset, "--latent", autoencoder, "-o", tmp_path / "a.png")
    assert refused.exit_code == 2
    said = " ".join(refused.output.split())
    assert "an autoencoder without a latent DPM; give --latent:" in said
    assert "import_" not in said
    empty = run("sample", "--preset", "paper", "--assets-dir", tmp_path, "-o", tmp_path / "a.png")
    assert empty.exit_code == 2
    assert "no backbone" in empty.output


def test_the_latent_dpm_learns_the_codes_distribution() -> None:
    """Two clusters of codes: samples lie on them, not between."""
    from discontrolface.diffusion.latent import sample_latent

    z = torch.cat([torch.full((32, 4), -2.0), torch.full((32, 4), 6.0)])
    config = LatentTraining(hidden_channels=64, num_layers=3, steps=400, batch=64, lr=3e-3, ema=0.9)
    state = torch.get_rng_state()
    net = train_latent(z, config, "cpu")
    assert torch.equal(state, torch.get_rng_state())
    torch.testing.assert_close(net.mean, torch.full((4,), 2.0))
    drawn = sample_latent(net, torch.randn(64, 4, generator=torch.Generator().manual_seed(0)))
    nearest = torch.minimum((drawn + 2).abs(), (drawn - 6).abs()).amax(1)
    assert (nearest < 1.5).float().mean() > 0.8
    assert 0.2 < (drawn.mean(1) > 2).float().mean() < 0.8


def test_train_latent_reads_crops_and_refuses_what_it_cannot_use(preset: Path, tmp_path: Path) -> None:
    config = tmp_path / "latent.yaml"
    config.write_text("stage: latent\nhidden_channels: 8\nnum_layers: 2\nsteps: 2\nbatch: 4\n")
    for k in range(3):
        Image.fromarray(np.full((40, 40, 3), 60 * k, np.uint8)).save(tmp_path / f"{k}.png")
    command = ("train", "latent", "--config", config, "--backbone", preset / "diffae", "-o", tmp_path / "run")
    assert "give --data" in run(*command).output
    (tmp_path / "none").mkdir()
    assert "no pictures" in run(*command, "--data", tmp_path / "none").output
    result = run(*command, "--data", tmp_path)
    assert result.exit_code == 0, result.output
    assert MLPSkipNet.from_pretrained(tmp_path / "run" / "weights").config.channels == 16
    assert "exists" in run(*command, "--data", tmp_path).output


def test_between_two_photos(preset: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.open(PHOTO).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other)
    command = ("interpolate", PHOTO, other, "--preset", preset, "--frames", "3", "--steps", "2", "--inversion-steps", "2")
    for start in ("draft", "noise", "inverted"):
        result = run(*command, "--start", start, "-o", tmp_path / f"{start}.png")
        assert result.exit_code == 0, result.output
        assert pixels(tmp_path / f"{start}.png").shape == (32, 3 * 32, 3)
    result = run(*command, "-o", tmp_path / "a.gif")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.size, image.n_frames) == ((32, 32), 4)  # there and back
    record = read_provenance(tmp_path / "a.gif")
    assert record is not None
    assert record["start"] == "draft"  # the network predicts x0
    assert len(record["edited"]["interpolated_with"]) == 64
    for arguments, words in (
        (("-o", tmp_path / "a.gif"), "--overwrite"),
        (("-o", tmp_path / "b.gif", "--start", "photo"), "choose one of inverted, draft, noise"),
        (("-o", tmp_path / "none" / "b.gif"), "does not exist"),
    ):
        refused = run(*command, *arguments)
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.split())


def test_directions_from_a_table_and_a_photo_moved_along_them(preset: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["file,bright,warm"]
    for k in range(16):
        bright, warm = k % 2, k // 2 % 2
        colour = np.array([90 + 80 * bright + 40 * warm, 90 + 80 * bright, 90 + 80 * bright - 40 * warm])
        Image.fromarray((colour + rng.normal(0, 8, (32, 32, 3))).clip(0, 255).astype(np.uint8)).save(tmp_path / f"{k}.png")
        rows.append(f"{k}.png,{bright},{2 * warm - 1}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    made = tmp_path / "directions.safetensors"
    result = run("attributes", "train", tmp_path, "-o", made, "--aligned", "--preset", preset)
    assert result.exit_code == 0, result.output
    assert AttributeDirections.load(made).names == ("bright", "warm")
    assert "exists" in run("attributes", "train", tmp_path, "-o", made, "--aligned", "--preset", preset).output
    command = ("attributes", "apply", PHOTO, "--directions", made, "--preset", preset, "--start", "noise", "--steps", "2")
    for amount in (0, 3):
        result = run(*command, "--set", f"bright={amount}", "-o", tmp_path / f"out{amount}.png")
        assert result.exit_code == 0, result.output
    assert np.abs(pixels(tmp_path / "out3.png") - pixels(tmp_path / "out0.png")).max() > 2
    record = read_provenance(tmp_path / "out3.png")
    assert record is not None
    assert record["edited"] == {"attributes": {"bright": 3.0}}
    unknown = run(*command, "--set", "hat=1", "-o", tmp_path / "no.png")
    assert "'hat' is not known; choose one of bright, warm" in unknown.output
    (tmp_path / "bad.csv").write_text("file,bright\nnone.png,1\n")
    missing = run("attributes", "train", tmp_path, "--labels", tmp_path / "bad.csv", "-o", tmp_path / "b.safetensors", "--preset", preset)
    assert "none.png does not exist" in " ".join(missing.output.split())
    faceless = run("attributes", "train", tmp_path, "-o", tmp_path / "c.safetensors", "--preset", preset)
    assert faceless.exit_code == 2
    assert "no face" in faceless.output


def test_the_official_classifier(preset: Path, tmp_path: Path) -> None:
    state = {f"{name}.{part}": torch.randn(40, 16) if part == "weight" else torch.zeros(40)
             for name in ("classifier", "ema_classifier") for part in ("weight", "bias")}  # fmt: skip
    torch.save({"state_dict": {**state, "conds_mean": torch.zeros(1, 16), "conds_std": torch.ones(1, 16)}}, tmp_path / "last.ckpt")
    command = ("attributes", "apply", PHOTO, "--directions", tmp_path / "last.ckpt", "--preset", preset, "--steps", "2")
    result = run(*command, "--set", f"{CELEBA_ATTRIBUTES[31]}=0.3,Young=-0.2", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.output
    record = read_provenance(tmp_path / "out.png")
    assert record is not None
    assert record["edited"] == {"attributes": {"Smiling": 0.3, "Young": -0.2}}
