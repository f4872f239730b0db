"""An edited photo keeps what its photo had: transparency that moves with the head, colour profile, 16 bits."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.profiles import profile_of
from numpy.typing import NDArray
from PIL import Image, ImageCms
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from typer.testing import CliRunner

from discontrolface import Editor
from discontrolface.cli.app import app
from discontrolface.common.example import example_photo
from discontrolface.common.images import load_photo, save_photo
from discontrolface.editing.editor import EditResult
from discontrolface.editing.person import Person
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.raster import rasterize

PHOTO = example_photo()


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.load("open")


@pytest.fixture(scope="module")
def colours() -> NDArray[np.uint8]:
    return load_photo(PHOTO).array


def silhouette(person: Person, parameters: FaceParameters) -> NDArray[np.bool_]:
    """(H, W): the head and shoulders of the head model, in the photo."""
    size, rig = 512, person.geometry.rig
    view = person.geometry.view(parameters)
    drawn = rasterize(np.ascontiguousarray(view.vertices, np.float32), rig.faces, size, size).triangle >= 0
    height, width = person.photo.array.shape[:2]
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    x, y = np.floor(np.moveaxis(person.crop.to_crop(centres) * size / person.crop.size, -1, 0)).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < size) & (y < size)
    return inside & drawn[np.clip(y, 0, size - 1), np.clip(x, 0, size - 1)]


def grown(where: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    return binary_dilation(where, iterations=pixels) if pixels > 0 else binary_erosion(where, iterations=-pixels)


# ---- transparency


@pytest.fixture(scope="module")
def cut_out(editor: Editor, colours: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Person:
    """The head alone, on nothing: green is stored where it is transparent."""
    whole = editor.read(PHOTO)
    alpha = gaussian_filter(grown(silhouette(whole, whole.parameters), 4).astype(np.float32), 1.5)
    alpha = np.rint(np.clip(alpha * 1.2 - 0.1, 0, 1) * 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("cut") / "cut.png"
    save_photo(np.where(alpha[..., None] > 0, colours, np.array([0, 255, 0], np.uint8)), path, alpha=alpha)
    return editor.read(path, face_box=whole.landmarks.box)


@pytest.fixture(scope="module")
def turned(editor: Editor, cut_out: Person) -> EditResult:
    own = cut_out.parameters.readable()
    return editor.edit(cut_out, cut_out.parameters.edit(yaw=own["yaw"] + 15, roll=own["roll"] + 15), steps=4)


def test_transparency_turns_with_the_head(cut_out: Person, turned: EditResult) -> None:
    assert cut_out.photo.alpha is not None
    alpha = np.asarray(turned.image)[..., 3]
    before, after = silhouette(cut_out, cut_out.parameters), silhouette(cut_out, turned.parameters)
    covered = grown(after, -2) & ~grown(before, 7) & turned.mask  # was nothing, is head
    left = grown(before, -1) & ~grown(after, 5) & turned.mask  # was head, is nothing
    assert covered.sum() > 50
    assert left.sum() > 50
    assert (cut_out.photo.alpha[covered] < 20).mean() > 0.8
    assert (alpha[covered] > 230).mean() > 0.9
    assert alpha[left].mean() < 0.5 * cut_out.photo.alpha[left].mean()
    assert (alpha[grown(after & before, -14)] == 255).mean() > 0.995  # no holes, where eyes and mouth are neither


def test_nothing_of_what_is_stored_under_transparency_shows(turned: EditResult) -> None:
    picture = np.asarray(turned.image).astype(int)
    seen = picture[picture[..., 3] > 128][:, :3]
    green = (seen[:, 1] > 150) & (seen[:, 1] > seen[:, 0] + 60) & (seen[:, 1] > seen[:, 2] + 60)
    assert green.mean() < 1e-4


def test_transparency_outside_the_mask_stays(cut_out: Person, turned: EditResult, tmp_path: Path) -> None:
    assert turned.save(tmp_path / "t.png") == ()
    written = np.asarray(Image.open(tmp_path / "t.png"))
    assert np.array_equal(written, np.asarray(turned.image))
    own = np.dstack([cut_out.photo.array, cut_out.photo.alpha])  # type: ignore[list-item]
    assert np.array_equal(written[~turned.mask], own[~turned.mask])
    assert (~turned.mask).mean() > 0.3


def test_half_transparent_all_over_stays_so(editor: Editor, colours: NDArray[np.uint8], tmp_path: Path) -> None:
    save_photo(colours, tmp_path / "half.png", alpha=np.full(colours.shape[:2], 128, np.uint8))
    person = editor.read(tmp_path / "half.png")
    result = editor.edit(person, person.parameters.edit(yaw=12, expression={"jawOpen": 0.5}), steps=2)
    assert np.abs(np.asarray(result.image)[..., 3].astype(int) - 128).max() <= 1


# ---- profile and depth


@pytest.mark.parametrize("depth", [8, 16])
def test_profile_and_depth_are_those_of_the_photo(editor: Editor, colours: NDArray[np.uint8], tmp_path: Path, depth: int) -> None:
    wide = profile_of(2.2)
    values = colours
    if depth == 16:
        values = colours.astype(np.uint16) * 256 + np.random.default_rng(0).integers(0, 256, colours.shape).astype(np.uint16)
    save_photo(values, tmp_path / "in.png", profile=wide)
    person = editor.read(tmp_path / "in.png")
    result = editor.edit(person, person.parameters.edit(yaw=10, expression={"smile": 0.8}), steps=4)
    assert result.save(tmp_path / "out.png") == ()
    again = load_photo(tmp_path / "out.png").native
    assert again is not None
    assert again.profile == wide
    assert again.values.dtype == values.dtype
    assert np.array_equal(again.values[~result.mask], values[~result.mask])
    inside = result.composite.mask > 0.9
    assert inside.sum() > 5000
    if depth == 16:
        assert len(np.unique(again.values[inside])) > 8000  # not 256 levels blown up
    seen = load_photo(tmp_path / "out.png").array.astype(int)
    edited = np.asarray(result.image).astype(int)
    assert np.abs(seen - edited)[inside].mean() < 1.5  # the same picture, in other numbers

    result.save(tmp_path / "srgb.png", keep_profile=False)
    plain = load_photo(tmp_path / "srgb.png")
    assert plain.native is None
    assert np.array_equal(plain.array, edited.astype(np.uint8))


def test_deep_grey_stays_deep_and_grey(editor: Editor, colours: NDArray[np.uint8], tmp_path: Path) -> None:
    grey = np.rint(colours @ np.array([0.299, 0.587, 0.114]) * 257).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "in.png")
    person = editor.read(tmp_path / "in.png")
    result = editor.edit(person, person.parameters.edit(expression={"jawOpen": 0.6}), steps=2)
    result.save(tmp_path / "out.png")
    written = np.asarray(Image.open(tmp_path / "out.png"))
    assert written.dtype == np.uint16
    assert written.shape == grey.shape
    assert np.array_equal(written[~result.mask], grey[~result.mask])
    assert np.abs(written / 257 - np.asarray(result.image)[..., 0])[result.mask].mean() < 1.5
    for suffix in (".jpg", ".webp"):
        result.save(tmp_path / f"out{suffix}")
        assert np.abs(load_photo(tmp_path / f"out{suffix}").array.astype(int) - np.asarray(result.image)).mean() < 2


def test_the_command_says_what_it_leaves_out(tmp_path: Path, cut_out: Person) -> None:
    run = CliRunner().invoke
    out = tmp_path / "out.jpg"
    box = ",".join(f"{v:.0f}" for v in cut_out.landmarks.box)
    edit = ["edit", str(cut_out.photo.path), "--face-box", box, "-o", str(out), "--no-personal", "--steps", "2", "--smile", "0.5"]
    edit = [*edit[:-2], "--expression", "smile=0.5"]
    refused = run(app, [*edit, "--background", "grue"])
    assert refused.exit_code == 2
    assert "'grue' is no colour" in refused.output
    result = run(app, [*edit, "--background", "#102030"])
    assert result.exit_code == 0, result.output
    assert "cannot be transparent" in result.output
    with Image.open(out) as picture:
        assert np.abs(np.asarray(picture)[:5, :5].astype(int) - (0x10, 0x20, 0x30)).max() <= 3
        assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"])))
    small = run(app, [*edit, "--overwrite", "--max-megapixels", "0.1"])
    assert small.exit_code == 2
    assert "limit of 0.1 megapixels" in small.output


def test_a_photo_that_was_changed_in_memory_is_written_as_it_is(editor: Editor, colours: NDArray[np.uint8], tmp_path: Path) -> None:
    """Without pixels of its own encoding for this size, 8-bit sRGB is written."""
    save_photo(colours, tmp_path / "wide.png", profile=profile_of(2.2))
    photo = load_photo(tmp_path / "wide.png")
    person = editor.read(replace(photo, array=np.ascontiguousarray(photo.array[:-4])))
    result = editor.edit(person, person.parameters.edit(yaw=5), steps=2)
    result.save(tmp_path / "out.png")
    assert np.array_equal(load_photo(tmp_path / "out.png").array, np.asarray(result.image))
