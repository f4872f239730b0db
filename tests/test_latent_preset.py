"""The latent preset that is made from one on pixels: the same network where latents are a change of coordinates, and the commands around it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from discontrolface import Editor
from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.snapshot_spec import OPEN_MAPS
from discontrolface.common.tensors import from_network
from discontrolface.common.weights_id import weights_id
from discontrolface.editing.detail import down
from discontrolface.editing.pipeline import Networks, denoise, prepare
from discontrolface.evaluation.ablation_items import photo_items
from discontrolface.evaluation.ablation_run import Maker, checked_experiment, load_presets
from discontrolface.evaluation.ablations import QUICK
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.face_autoencoder import FaceAutoencoder
from discontrolface.nets.presets import debug_config
from discontrolface.weights.latent_parts import changed, shipped_parts, write_parts
from discontrolface.weights.latent_preset import latent_backbone, latent_control, make_latent_preset
from discontrolface.weights.manifest import preset_folder, preset_head, preset_size
from discontrolface.weights.preset import load_preset

MAPS = (*OPEN_MAPS, "source")


def random_weights(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))


def on_pixels(size: int) -> tuple[DiffAE, ExpFaceNet]:
    model = DiffAE(**debug_config() | {"image_size": size, "patch": 4}).eval()
    random_weights(model, 0)
    control = ExpFaceNet.from_backbone(
        model, snapshot_maps=MAPS, preview_gate="visibility", preview_correction=True, source_gate=True
    ).eval()
    random_weights(control, 1)
    return model, control


@torch.no_grad()
def even(control: ExpFaceNet) -> None:
    """One gate for a patch, as latents have it."""
    for head in (control.gate_head, control.source_gate_head):
        head.weight.copy_(head.weight[:1].expand_as(head.weight))
        head.bias.copy_(head.bias[:1].expand_as(head.bias))


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_where_latents_are_other_coordinates_it_is_the_same_network() -> None:
    """All 48 waves of 4x4 pixels: latents and patches say the same, so that the networks must predict the same.

    Mixed after decoding: with any gates. Mixed in the latents, as between steps: with gates that do not differ within a latent.
    """
    model, control = on_pixels(32)
    x = pictures(2, 3, 32, 32)
    latents = latent_backbone(model, FaceAutoencoder(32, 48, 4, (8,), (1,)), [x, -x])
    beside = latent_control(control, latents)
    snapshot, t, x_t = pictures(2, 13, 32, 32), torch.tensor([900, 50]), 0.7 * pictures(2, 3, 32, 32)
    snapshot[:, 9] = snapshot[:, 9].abs()
    with torch.no_grad():
        z, inside = model.encode(x), latents.to_space(x_t)
        torch.testing.assert_close(latents.encode(x), z)
        signal, last = control(x_t, t, z, snapshot, backbone=model), beside(inside, t, z, snapshot, backbone=latents, last=True)
        assert last.gate is None
        assert last.decoded is not None
        torch.testing.assert_close(signal.gate, last.decoded.gate, atol=1e-3, rtol=1e-3)
        expected = model(x_t, t, z, control=signal)
        found = last.decoded.over(latents.from_space(latents(inside, t, z, control=last)))
        torch.testing.assert_close(found, expected, atol=4e-3, rtol=1e-2)
        assert (expected - snapshot[:, 6:9]).abs().max() > 0.1  # not the preview alone

        even(control)
        beside.load_state_dict(control.state_dict())
        snapshot[:, 9] = F.avg_pool2d(snapshot[:, 9:10], 4).repeat_interleave(4, 2).repeat_interleave(4, 3)[:, 0]
        signal, between = control(x_t, t, z, snapshot, backbone=model), beside(inside, t, z, snapshot, backbone=latents)
        torch.testing.assert_close(F.avg_pool2d(signal.gate, 4), between.gate, atol=1e-3, rtol=1e-3)
        expected = model(x_t, t, z, control=signal)
        torch.testing.assert_close(latents.from_space(latents(inside, t, z, control=between)), expected, atol=4e-3, rtol=1e-2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("pixels")
    model, control = on_pixels(64)
    model.save_pretrained(folder / "diffae")
    control.save_pretrained(folder / "exp_facenet")
    (folder / "preset.json").write_text(json.dumps({"name": "tiny", "head": "open", "start": "noise", "strength": 0.5, "steps": 2}))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_made_by_a_command_and_found_by_its_name(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"is made from the open preset by `discontrolface assets latent`"):
        preset_folder("latent")
    made = run("assets", "latent", "--preset", tiny)
    assert made.exit_code == 0, made.output
    folder = preset_folder("latent")
    assert (folder.parent.parent, preset_head("latent"), preset_size("latent")) == (tmp_path, "open", 128)
    again = run("assets", "latent", "--preset", tiny)
    assert "give --overwrite" in again.stderr
    old, new = load_preset(tiny), load_preset(folder)
    assert (new.name, new.model.space, new.sampling.temperature) == ("latent", (16, 16), 0.2)
    assert (new.sampling.mask_patch, new.one_shot["mask_patch"]) == (32, 32)
    x, snapshot = pictures(1, 3, 128, 128), pictures(1, 13, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(new.model.encode(x), old.model.encode(F.avg_pool2d(x, 2)), atol=2e-3, rtol=2e-3)
        stems = [p.control.read(s, p.model).stem for p, s in ((new, snapshot), (old, F.avg_pool2d(snapshot, 2)))]
    torch.testing.assert_close(*stems, atol=2e-3, rtol=2e-3)
    refused = run("assets", "latent", "--preset", folder, "-o", tmp_path / "twice")
    assert "is a LatentDiffAE, not a DiffAE" in refused.stderr


def test_trained_parts_fit_their_own_weights_only(tiny: Path, tmp_path: Path) -> None:
    """What training changed goes into a file and back into a newly made preset; another preset's, or a damaged one, is refused."""
    pixels = load_preset(tiny)
    base = weights_id(pixels.model, pixels.control)
    picture = pictures(1, 3, 128, 128)
    made = load_preset(make_latent_preset(tiny, tmp_path / "made", None, picture))
    trained = load_preset(tmp_path / "made")
    random_weights(trained.model.autoencoder.decoder, 5)
    random_weights(trained.control.gate_head, 6)
    file = tmp_path / "parts" / "parts.safetensors"
    parts = changed((made.model, made.control), (trained.model, trained.control))
    assert {name.split("/")[0] for name in parts} == {"diffae", "exp_facenet"}
    assert all("autoencoder.decoder" in name or "gate_head" in name for name in parts)
    write_parts(file, base, parts)
    again = load_preset(make_latent_preset(tiny, tmp_path / "again", None, picture, file))
    for mine, expected in ((again.model, trained.model), (again.control, trained.control)):
        state = expected.state_dict()
        assert all(torch.equal(value.half(), state[key].half()) for key, value in mine.state_dict().items())
    write_parts(file, "0123456789abcdef", parts)
    with pytest.raises(UserError, match=rf"belong to the weights 0123456789abcdef, and the preset's are {base}; give --untrained"):
        make_latent_preset(tiny, tmp_path / "other", None, picture, file)
    assert not (tmp_path / "other").exists()
    write_parts(file, base, {"diffae/nowhere": torch.zeros(2)})
    with pytest.raises(UserError, match=r"do not fit at 'diffae/nowhere'"):
        make_latent_preset(tiny, tmp_path / "other", None, picture, file)
    file.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="cannot be read"):
        make_latent_preset(tiny, tmp_path / "other", None, picture, file)


def test_the_shipped_parts_are_of_the_shipped_weights(tmp_path: Path) -> None:
    """Who ships other open weights trains the parts anew, or ships none. Of the trunk they hold nothing."""
    from safetensors import safe_open

    pixels = load_preset(preset_folder("open"))
    with safe_open(shipped_parts(), framework="pt") as file:
        names = set(file.keys())
    made = load_preset(make_latent_preset(preset_folder("open"), tmp_path / "latent", None, pictures(1, 3, 128, 128), shipped_parts()))
    before, after = pixels.control.state_dict(), made.control.state_dict()
    kept = [key for key, value in before.items() if torch.equal(value.half(), after[key].half())]
    assert {f"exp_facenet/{key}" for key in before if key not in kept} <= names
    assert all(key in kept for key in before if ".conv1.weight" in key and "up.7" not in key)
    assert shipped_parts().stat().st_size < 1_300_000


def test_pixels_and_latents_side_by_side(tiny: Path, tmp_path: Path) -> None:
    """`ablate space`: each preset at its own size and in its own way, compared at this preset's size."""
    assert run("assets", "latent", "--preset", tiny, "-o", tmp_path / "latents").exit_code == 0
    given = ("--quick", "--pairs", "1", "--preset", tiny, "-o", tmp_path / "out")
    assert "give them with --weights" in run("ablate", "space", *given).stderr
    assert "run these two one after the other" in run("ablate", "space,maps", *given, "--weights", f"latents={tmp_path}").stderr
    editor = Editor.load(tiny)
    presets = load_presets({"latents": tmp_path / "latents"}, editor)
    plan = checked_experiment("space", editor, QUICK, (), presets)
    person = editor.read(example_photo())
    item = next(photo_items(person, 0, plan.tasks, editor, editor.networks.maps))
    maker = Maker(editor, QUICK, presets)
    pixels, latents = (maker.make(item, variant)[0] for variant in plan.variants)
    preset = presets["latents"]
    networks = Networks(preset.model, preset.control)
    edit = prepare(person, item.edit.target, 128, networks.maps, 0)
    expected = down(from_network(denoise(networks, [edit], preset.sampling)), 64)
    np.testing.assert_allclose(latents, expected, atol=1e-6)
    own = from_network(denoise(editor.networks, [item.edit], editor.preset.sampling))
    np.testing.assert_allclose(pixels, own, atol=1e-6)
    with pytest.raises(UserError, match="that name is the preset's own"):
        load_presets({"this preset": tiny}, editor)
