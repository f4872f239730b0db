"""The super-resolution network: what it may change, where it stands in the pipeline, how it is trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.networks import write_tiny_preset

from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.carried import carried
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import finished, prepare
from discontrolface.evaluation.similarity import ssim_map
from discontrolface.evaluation.super_resolution import figures, gains, mean, table
from discontrolface.nets.super_resolution import SuperResolution, fine
from discontrolface.training.super_resolution import SuperResolutionTraining, train_super_resolution
from discontrolface.training.super_resolution_data import CHANNELS, SIZE, edited_example, planes, return_examples
from discontrolface.training.super_resolution_loss import picture_loss, ssim
from discontrolface.training.super_resolution_set import Edits, softened

TINY = SuperResolutionTraining(
    channels=(8, 8, 8), blocks=(1, 1, 1), blocks_up=1, steps=6, batch=2, crop=64, adversary_weight=0.01, adversary_width=4, adversary_from=3
)


def small_network(seed: int = 0) -> SuperResolution:
    """One that says something: its last layer does not start at zero."""
    torch.manual_seed(seed)
    network = SuperResolution((8, 8, 8), (1, 1, 1), 1)
    torch.nn.init.normal_(network.head.weight, std=0.05)
    return network.eval()


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    folder = write_tiny_preset(tmp_path_factory.mktemp("preset"))
    small_network().save_pretrained(folder / "super_resolution")
    return Editor.load(folder)


@pytest.fixture(scope="module")
def person(editor: Editor) -> Person:
    return editor.read(example_photo())


def inputs(height: int = 32, width: int = 48) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pictures = [torch.rand(1, 3, height, width, generator=generator) * 2 - 1 for _ in range(2)]
    return [*pictures, *(torch.rand(1, 1, height, width, generator=generator) for _ in range(2))]


def test_untrained_it_changes_nothing_and_trained_nothing_that_is_trusted() -> None:
    carried_over, preview, visibility, trusted = inputs()
    untrained = SuperResolution((8, 8, 8), (1, 1, 1), 1)
    assert torch.equal(untrained(carried_over, preview, visibility, trusted), carried_over)
    trusted[..., :20] = 1
    out = small_network()(carried_over, preview, visibility, trusted)
    assert torch.equal(out[..., :20], carried_over[..., :20])
    assert (out - carried_over)[..., 20:].abs().mean() > 1e-3


def test_what_it_adds_has_no_coarse_part() -> None:
    """Whatever its weights say, it changes no colour and no light: means over 32 pixels stay."""
    carried_over, preview, visibility, _ = inputs(128, 128)
    network = small_network()
    torch.nn.init.constant_(network.head.bias, 0.3)
    added = network(carried_over, preview, visibility, torch.zeros_like(visibility)) - carried_over
    assert added.std() > 0.02
    assert F.avg_pool2d(added, 32).abs().max() < 0.05 * added.std()
    ramp = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    assert fine(ramp)[..., 8:-8].abs().max() < 0.01
    checks = torch.ones(1, 1, 64, 64)
    checks[..., ::2] = -1
    assert torch.allclose(fine(checks), checks, atol=1e-6)


def test_the_shipped_size_is_light_and_sides_are_checked() -> None:
    assert sum(p.numel() for p in SuperResolution().parameters()) <= 2_000_000
    with pytest.raises(ValueError, match="multiples of 16"):
        small_network()(*inputs(24, 32))


def test_it_moves_with_the_picture() -> None:
    """A picture moved by the network's own grid gives the answer moved by it: it knows no places."""
    whole = inputs(32, 416)
    with torch.no_grad():
        a, b = (small_network()(*(x[..., s] for x in whole)) for s in (slice(0, 400), slice(16, 416)))
    assert torch.allclose(a[..., 200:208], b[..., 184:192], atol=1e-5)


def test_it_stands_between_the_networks_and_the_photo(editor: Editor, person: Person) -> None:
    edit = prepare(person, person.parameters.edit(expression={"jawOpen": 0.6}, yaw=12), editor.size, editor.networks.maps, fine_size=256)
    picture = np.clip(edit.preview.image + 0.02, 0, 1)
    plain, motion = carried(edit, picture)
    larger, same = finished(edit, picture, editor.networks.larger)
    assert larger.shape == (256, 256, 3)
    assert np.array_equal(larger[motion.shown >= 1], plain[motion.shown >= 1])
    assert np.abs(larger - plain)[motion.shown < 0.1].mean() > 1e-4
    assert np.array_equal(same.shown, motion.shown)
    assert np.array_equal(finished(edit, picture)[0], plain)


def test_resolution_is_the_size_of_the_edited_square(editor: Editor, person: Person) -> None:
    target = person.parameters.edit(expression={"smile": 0.6})
    sampling = dataclasses.replace(editor.preset.sampling, steps=1)
    results = {name: editor.edit(person, target, sampling=sampling, resolution=name) for name in ("256", 512, "photo")}
    assert results[512].crop.size == (512, 512)
    assert results["256"].crop.size == (256, 256)
    assert len(results["photo"].composite.edited) == person.fine_crop.size
    for result in results.values():
        assert result.image.size == person.photo.size
        outside = ~result.mask
        assert np.array_equal(np.asarray(result.image)[outside], person.photo.array[outside])
    assert results[512].record["resolution"] == "512"
    assert "super_resolution" in results[512].record
    with pytest.raises(UserError, match="'300' is not known; choose one of 256, 512, 1024, photo"):
        Sampling(resolution=300)


def write_edits(folder: Path, side: int = 96) -> Path:
    """Edits that are soft where nothing is trusted; the truth is sharp."""
    rng = np.random.default_rng(0)
    block = np.zeros((3, CHANNELS, side, side), np.uint8)
    truth = rng.integers(0, 255, (3, 3, side // 4, side // 4)).repeat(4, 2).repeat(4, 3)
    block[:, planes("truth")] = truth
    block[:, planes("carried")] = (truth + np.roll(truth, 2, 2) + np.roll(truth, 2, 3)) // 3
    block[:, planes("preview")] = block[:, planes("carried")]
    block[:, planes("trusted"), :, : side // 3] = 255
    block[:, planes("counts")] = 255
    folder.mkdir(exist_ok=True)
    np.save(folder / "block_a.npy", block)
    return folder


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path: Path) -> None:
    edits = Edits(write_edits(tmp_path / "edits"))
    whole = train_super_resolution(TINY, edits, folder(tmp_path / "whole"), "cpu", None)
    stopped = folder(tmp_path / "stopped")
    train_super_resolution(TINY, edits, stopped, "cpu", 0.0)
    train_super_resolution(TINY, edits, stopped, "cpu", None)
    a, b = (SuperResolution.from_pretrained(path).state_dict() for path in (whole, stopped / "weights"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert len((stopped / "log.jsonl").read_text().splitlines()) == TINY.steps
    with pytest.raises(UserError, match="another config"):
        train_super_resolution(dataclasses.replace(TINY, lr=1.0), edits, stopped, "cpu", None)


def test_it_learns(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, steps=40, lr=3e-3, warmup=0, adversary_weight=0.0, texture_weight=0.0, ema=0.9, flip=False)
    edits = Edits(write_edits(tmp_path / "edits"))
    network = SuperResolution.from_pretrained(train_super_resolution(config, edits, folder(tmp_path / "run"), "cpu", None))
    batch = edits.batch(config, 1000)
    with torch.no_grad():
        out = network(batch.carried, batch.preview, batch.visibility, batch.trusted)
    weight = 1 - batch.trusted
    before, after = (picture_loss(x, batch.truth, weight).absolute.item() for x in (batch.carried, out))
    assert after < 0.9 * before


def test_texture_asks_for_strength_not_for_places() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, 64, 64, generator=generator)
    weight = torch.ones(1, 1, 64, 64)
    elsewhere, soft = truth.roll((8, 8), (2, 3)), torch.full_like(truth, 0.5)
    moved, flat = picture_loss(elsewhere, truth, weight), picture_loss(soft, truth, weight)
    assert moved.texture < 0.3 * flat.texture
    assert moved.bands > flat.bands
    assert picture_loss(truth, truth, weight).bands == 0


def test_structure_is_ssim() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, 48, 48, generator=generator)
    picture = (truth + 0.2 * torch.randn(1, 3, 48, 48, generator=generator)).clamp(0, 1)
    ours = ssim(2 * picture - 1, 2 * truth - 1)
    theirs = ssim_map(*(x[0].permute(1, 2, 0).numpy() for x in (picture, truth)))
    assert np.allclose(ours.mean(1)[0].numpy()[6:-6, 6:-6], theirs[6:-6, 6:-6], atol=1e-4)
    assert picture_loss(truth, truth, torch.ones(1, 1, 48, 48)).structure.abs() < 1e-5


def test_a_return_pair_ends_where_the_photo_is(editor: Editor, person: Person) -> None:
    assert return_examples(editor, [person], np.random.default_rng(1)) == []  # that random edit asks for nothing
    (made,) = return_examples(editor, [person], np.random.default_rng(2))
    photo = np.asarray(person.crop.resize(SIZE).image).transpose(2, 0, 1)
    assert np.array_equal(made[planes("truth")], photo)
    shown = (made[planes("visibility")][0] > 250) & (made[planes("counts")][0] > 0)
    assert shown.mean() > 0.05
    errors = np.abs(made[planes("preview")].astype(int) - photo).mean(0)
    assert errors[shown].mean() < 12


def test_an_enlarged_edit_is_an_edit_of_half_the_size(tmp_path: Path) -> None:
    edits = Edits(write_edits(tmp_path / "edits"))
    parts = [edits.sized_edit(dataclasses.replace(TINY, enlarged_share=share), torch.Generator().manual_seed(4)) for share in (0.0, 1.0)]
    assert parts[0].shape == parts[1].shape == (CHANNELS, TINY.crop, TINY.crop)
    assert parts[1].min() >= 0
    assert parts[1].max() <= 1
    strongest = [part[planes("truth")].diff(dim=-1).abs().mean() for part in parts]
    assert strongest[1] < 0.8 * strongest[0]  # the same steps over twice as many pixels


def test_an_edit_as_the_network_meets_it(editor: Editor, person: Person) -> None:
    target = person.parameters.edit(expression={"jawOpen": 0.7})
    truth, known = np.full((SIZE, SIZE, 3), 0.25, np.float32), np.ones((SIZE, SIZE), bool)
    made = edited_example(editor, person, target, truth, known, np.random.default_rng(0))
    assert made.shape == (CHANNELS, SIZE, SIZE)
    assert (made[planes("truth")] == 64).all()
    visibility, trusted, counts = (made[planes(name)][0] for name in ("visibility", "trusted", "counts"))
    assert (visibility < 128).sum() > 500  # the opened mouth
    assert trusted[visibility < 10].mean() < 60
    assert 0 < counts.mean() < 255


def test_a_softened_photo_is_the_photo_but_in_places() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand(3, 96, 96, generator=generator)
    part = softened(truth, generator)
    trusted, carried_over = part[planes("trusted")], part[planes("carried")]
    sharp = (trusted == 1).expand(3, -1, -1)
    assert part.shape == (CHANNELS, 96, 96)
    assert 0.05 < sharp.float().mean() < 0.95
    assert torch.equal(carried_over[sharp], truth[sharp])
    soft = (trusted < 0.01).expand(3, -1, -1)
    assert carried_over[soft].std() < 0.8 * truth[soft].std()
    assert part[planes("visibility")].min() < 0.6


def test_what_is_measured_and_what_is_gained() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((48, 48, 3)).astype(np.float32)
    soft = np.full_like(truth, 0.5)
    soft[:, :24] = truth[:, :24]
    regions = {"head": np.ones((48, 48), bool), "hidden": np.arange(48)[None].repeat(48, 0) >= 32}
    out = figures(soft, truth, regions)
    assert out["head"]["psnr"] == pytest.approx(out["hidden"]["psnr"] + 10 * np.log10(2), abs=0.3)
    assert out["hidden"]["sharpness"] == 0 < out["head"]["sharpness"] < 1
    assert out["hidden"]["ssim"] < out["head"]["ssim"] < 1
    assert figures(truth * 0.5, truth, regions)["head"]["sharpness"] == pytest.approx(0.5)

    better = [{"psnr": 21.0, "ssim": 0.75, "sharpness": 0.8}, {"psnr": 23.0, "ssim": 0.85, "sharpness": 0.8}]
    plain = [{"psnr": 20.0, "ssim": 0.7, "sharpness": 0.8}, {"psnr": 21.0, "ssim": 0.8, "sharpness": 0.8}]
    gain = gains({"head/super-resolution": better, "head/carried over": plain}, "head", ["a", "b"])
    assert gain["psnr"] == "1.5000 [1.0000, 2.0000]"
    means = {"head/super-resolution": mean(better), "head/carried over": mean(plain)}
    lines = table({"512": {"means": means, "gains": {"head": gain}}}).splitlines()
    assert "| 512 | head | super-resolution | 22.00 | 0.8000 | 0.80 | 2 |" in lines
    assert lines[-1].startswith("| 512 | head | gain over carried over | 1.5000 [1.0000, 2.0000] |")


def folder(path: Path) -> Path:
    path.mkdir()
    return path
