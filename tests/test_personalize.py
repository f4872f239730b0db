"""One-shot fine-tuning: the paper's way and ours by one function; personal weights that are small, exact, and fit one base only."""

import copy
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from discontrolface.common.configs import PACKAGED
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.pixels import to_float
from discontrolface.common.snapshot_spec import OPEN_MAPS, PAPER_MAPS, SnapshotSpec
from discontrolface.common.tensors import to_network
from discontrolface.common.weights_id import weights_id
from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.diffusion.masking import random_patch_mask
from discontrolface.diffusion.sampling import sample
from discontrolface.editing.editor import Editor
from discontrolface.editing.looks import hide_preview, own_look, warped_looks
from discontrolface.editing.person import Person
from discontrolface.editing.personal import PersonalWeights
from discontrolface.editing.personalize import OPEN_ONE_SHOT, PAPER_ONE_SHOT, OneShot, load_one_shot
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import debug_config


def make_preset(folder: Path, seed: int, maps: tuple[str, ...] = OPEN_MAPS, gate: str = "visibility") -> Path:
    torch.manual_seed(seed)
    model = DiffAE(**debug_config())
    with torch.no_grad():  # a fresh network's last layer is zero, and no gradient would pass it
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    model.save_pretrained(folder / "diffae")
    ExpFaceNet.from_backbone(model, snapshot_maps=maps, preview_gate=gate).save_pretrained(folder / "exp_facenet")
    (folder / "preset.json").write_text(json.dumps({"name": "tiny", "head": "open", "start": "noise", "strength": 0.5, "steps": 4}))
    return folder


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    folder = tmp_path_factory.mktemp("preset")
    return Editor.load(make_preset(folder, 0), cache=folder / "cache")


@pytest.fixture(scope="module")
def person(editor: Editor) -> Person:
    return editor.read(example_photo())


@torch.no_grad()
def own_loss(editor: Editor, person: Person, control: ExpFaceNet) -> float:
    """The paper's loss on this photo, over 64 fixed draws of noise, masks and timesteps."""
    photo = to_float(person.crop.resize(32).image)
    look = own_look(photo, person.parameters)
    snapshot = person.geometry.snapshot(look.parameters, 32, OPEN_MAPS, look.preview).image.expand(64, -1, -1, -1)
    generator = torch.Generator().manual_seed(7)
    mask = random_patch_mask(64, 32, 4, generator=generator)
    target = to_network(photo).expand(64, -1, -1, -1)
    hidden = hide_preview(snapshot, SnapshotSpec("open", OPEN_MAPS), mask)
    return float(diffusion_loss(editor.preset.model, target, control, hidden, source=target, mask=mask, generator=generator).loss)


def test_configs_are_the_constants() -> None:
    assert load_one_shot(PACKAGED / "oneshot_paper.yaml") == PAPER_ONE_SHOT
    assert load_one_shot(PACKAGED / "oneshot_open.yaml") == OPEN_ONE_SHOT
    assert (PAPER_ONE_SHOT.lr, PAPER_ONE_SHOT.batch, PAPER_ONE_SHOT.iterations) == (1e-5, 4, 1500)


def test_bad_settings_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("precision: fp8")
    with pytest.raises(UserError, match="fp8"):
        load_one_shot(tmp_path / "a.yaml")
    with pytest.raises(UserError, match="at least 1"):
        OneShot(0, 4, 1e-4, 0)
    with pytest.raises(UserError, match="crop 100 must be 0 or a multiple of 8"):
        OneShot(1, 4, 1e-4, 0, crop=100)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(dataclasses.replace(PAPER_ONE_SHOT, iterations=60, lr=3e-3, mask_patch=4), id="paper", marks=pytest.mark.heavy),
        pytest.param(dataclasses.replace(OPEN_ONE_SHOT, iterations=60, lr=3e-3, warps=4, mask_patch=4), id="open"),
        pytest.param(  # it sees a quarter a time
            dataclasses.replace(OPEN_ONE_SHOT, iterations=100, batch=8, lr=6e-3, warps=4, mask_patch=4, crop=16),
            id="squares",
            marks=pytest.mark.heavy,
        ),
    ],
)
def test_it_learns_the_person(editor: Editor, person: Person, settings: OneShot) -> None:
    personal = editor.personalize(person, settings).personal
    assert personal is not None
    control = copy.deepcopy(editor.preset.control)
    before = own_loss(editor, person, control)
    personal.apply(control, editor.base_id)
    assert own_loss(editor, person, control) < 0.9 * before
    again = editor.personalize(person, settings, progress=lambda *_: pytest.fail("not cached")).personal
    assert again is not None
    assert again.difference.keys() == personal.difference.keys()
    assert all(torch.equal(again.difference[k], v) for k, v in personal.difference.items())
    fresh = Editor(editor.preset, editor.reader)
    repeated = fresh.personalize(person, settings).personal
    assert repeated is not None
    assert all(torch.equal(repeated.difference[k], v) for k, v in personal.difference.items()), "same seed, other weights"


@pytest.mark.heavy
def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    """In many processes too, where safetensors writes its metadata in another order each time."""
    code = (
        "import sys, torch; from pathlib import Path; from discontrolface.editing.personal import PersonalWeights\n"
        "difference = {'b.weight': torch.arange(6.0).reshape(2, 3).half(), 'a.bias': torch.ones(5).half()}\n"
        "PersonalWeights('0123456789abcdef', difference, 0.75).save(Path(sys.argv[1]))"
    )
    files = [tmp_path / f"{k}.safetensors" for k in range(4)]
    for file in files:
        subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    assert len({file.read_bytes() for file in files}) == 1
    again = PersonalWeights.load(files[0])
    assert (again.base, again.kept) == ("0123456789abcdef", 0.75)
    assert torch.equal(again.difference["b.weight"], torch.arange(6.0).reshape(2, 3).half())
    assert load_file(files[0]).keys() == {"a.bias", "b.weight"}, "a safetensors file as any other"


def test_personal_weights_are_refused_on_another_base(editor: Editor, person: Person, tmp_path: Path) -> None:
    settings = dataclasses.replace(OPEN_ONE_SHOT, iterations=1, warps=1, mask_patch=4)
    personal = editor.personalize(person, settings).personal
    assert personal is not None
    personal.save(tmp_path / "p.safetensors")
    loaded = PersonalWeights.load(tmp_path / "p.safetensors")
    control = copy.deepcopy(editor.preset.control)
    loaded.apply(control, editor.base_id)
    other = Editor.load(make_preset(tmp_path / "other", 1), reader=editor.reader)
    with pytest.raises(UserError, match="belong to base weights"):
        other.edit(person.with_personal(loaded), person.parameters, steps=1)
    (tmp_path / "p.safetensors").write_bytes((tmp_path / "p.safetensors").read_bytes()[:-50])
    with pytest.raises(UserError, match="cannot be read"):
        PersonalWeights.load(tmp_path / "p.safetensors")


def test_float16_difference_gives_the_same_edit(editor: Editor, person: Person) -> None:
    """The whole network after training, and base plus stored difference: pictures differ by less than a grey level."""
    before = copy.deepcopy(editor.preset.control)
    after = copy.deepcopy(before)
    with torch.no_grad():
        for p in after.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    personal = PersonalWeights.between("base", before.state_dict(), after)
    personal.apply(before, "base")
    crop = to_network(to_float(person.crop.resize(32).image))
    snapshot = person.geometry.snapshot(person.parameters, 32, OPEN_MAPS, person.draft(person.parameters, 32)).image
    pictures = []
    for control in (after, before):
        condition = EditCondition(editor.preset.model, control, crop, snapshot, 4, "A", torch.Generator().manual_seed(0))
        pictures.append(sample(editor.preset.model, torch.zeros_like(crop), steps=4, condition=condition))
    assert (pictures[0] - pictures[1]).abs().max() < 1 / 255


def test_a_large_difference_is_kept_as_thin_products(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(64, 96, 3), torch.nn.Conv2d(96, 64, 3))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with torch.no_grad():
        for layer in network:
            m, n = layer.weight.flatten(1).shape
            layer.weight.add_(
                (torch.randn(m, 3, generator=generator) @ torch.randn(3, n, generator=generator)).view_as(layer.weight) * 1e-3
            )
            layer.bias.add_(0.01)
    trained = {k: v.clone() for k, v in network.state_dict().items()}
    personal = PersonalWeights.between("base", before, network, limit=15_000)
    personal.save(tmp_path / "p.safetensors")
    assert (tmp_path / "p.safetensors").stat().st_size <= 15_000
    assert personal.kept > 0.999
    network.load_state_dict(before)
    PersonalWeights.load(tmp_path / "p.safetensors").apply(network, "base")
    for k, v in network.state_dict().items():
        assert torch.allclose(v, trained[k], atol=2e-5)
    tight = PersonalWeights.between(
        "base", before, torch.nn.Sequential(torch.nn.Conv2d(64, 96, 3), torch.nn.Conv2d(96, 64, 3)), limit=8_000
    )
    assert 0 < tight.kept < 0.5


def test_warped_looks_and_hidden_previews(person: Person) -> None:
    photo = to_float(person.crop.resize(64).image)
    back, forth = warped_looks(photo, person.parameters, person.geometry, person.parameters.edit(yaw=person.parameters.yaw + 20))
    assert np.array_equal(back.target, photo)
    assert np.array_equal(forth.source, photo)
    assert np.array_equal(back.source, forth.target)
    assert back.weight.min() == 1
    assert np.array_equal(forth.weight, forth.preview.visibility)
    own = own_look(photo, person.parameters)
    snapshot = person.geometry.snapshot(own.parameters, 64, OPEN_MAPS, own.preview).image
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    mask[..., :16, :] = True
    hidden = hide_preview(snapshot, SnapshotSpec("open", OPEN_MAPS), mask)
    assert torch.equal(hidden[:, :6], snapshot[:, :6])
    assert hidden[:, 6:, :16].abs().max() == 0
    assert torch.equal(hidden[:, 6:, 16:], snapshot[:, 6:, 16:])
    six = snapshot[:, :6]
    assert torch.equal(hide_preview(six, SnapshotSpec("open", PAPER_MAPS), mask), six)


def test_weights_id_names_the_weights(editor: Editor) -> None:
    assert weights_id(editor.preset.model, editor.preset.control) == editor.base_id
    changed = copy.deepcopy(editor.preset.control)
    with torch.no_grad():
        next(changed.parameters()).view(-1)[0] += 1e-3
    assert weights_id(editor.preset.model, changed) != editor.base_id


@pytest.mark.heavy
def test_open_preset_size_of_personal_weights(tmp_path: Path) -> None:
    """Every weight of the open preset's control network changed: still less than 15 MB."""
    from discontrolface.nets.presets import open_diffae_config

    control = ExpFaceNet.from_backbone(DiffAE(**open_diffae_config()), snapshot_maps=OPEN_MAPS, preview_gate="visibility")
    before = {k: v.clone() for k, v in control.state_dict().items()}
    with torch.no_grad():
        for p in control.parameters():
            p.add_(1e-3)
    PersonalWeights.between("base", before, control).save(tmp_path / "p.safetensors")
    assert (tmp_path / "p.safetensors").stat().st_size < 15_000_000
