"""The main job on the real photo, with the shipped weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discontrolface import Editor, UserError
from discontrolface.common.example import example_photo
from discontrolface.common.images import load_photo, save_photo
from discontrolface.common.provenance import read_provenance
from discontrolface.editing.person import Person
from discontrolface.editing.personalize import OneShot
from discontrolface.editing.pipeline import prepare

PHOTO = example_photo()


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    return Editor.load("open", cache=tmp_path_factory.mktemp("personal"))


@pytest.fixture(scope="module")
def person(editor: Editor) -> Person:
    return editor.read(PHOTO)


def test_landmark_error(person: Person) -> None:
    assert person.fit.mean_percent < 1.0


def test_nothing_changes_outside_the_mask(editor: Editor, person: Person) -> None:
    result = editor.edit(person, person.parameters.edit(expression={"jawOpen": 0.6}), steps=3)
    picture = np.asarray(result.image)
    changed = (picture != person.photo.array).any(-1)
    assert changed.any()
    assert not (changed & ~result.mask).any()
    assert result.mask.mean() < 0.25
    assert result.image.size == person.photo.size


def test_no_edit_gives_the_photo(editor: Editor, person: Person) -> None:
    result = editor.edit(person, person.parameters, steps=2)
    assert np.array_equal(np.asarray(result.image), person.photo.array)


def test_same_seed_same_picture(editor: Editor, person: Person) -> None:
    target = person.parameters.edit(yaw=15, expression={"jawOpen": 0.5})
    runs = [np.asarray(editor.edit(person, target, steps=3, seed=seed, start="noise").image) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("start", ["noise", "draft", "inverted"])
def test_every_start_makes_a_picture(editor: Editor, person: Person, start: str) -> None:
    result = editor.edit(person, person.parameters.edit(yaw=10), steps=12, start=start)
    difference = np.abs(np.asarray(result.crop, float) - np.asarray(result.preview, float)).mean()
    assert difference < 40  # levels: a face, not noise (83); inverted has stains, and 26
    assert result.record["start"] == start


def test_a_covered_mouth_warns_where_the_mouth_is_edited(editor: Editor, person: Person, caplog: pytest.LogCaptureFixture) -> None:
    lips = person.own_view.vertices[person.geometry.rig.lips > 0]
    x, y = ((lips[:, 0] + 1) * 0.5 * person.crop.size).astype(int), ((1 - lips[:, 1]) * 0.5 * person.crop.size).astype(int)
    picture = person.crop.image.copy()
    picture[y.min() - 3 : y.max() + 4, x.min() - 3 : x.max() + 4] = (90, 130, 180)  # a blue mask
    masked = Person.known(picture, person.parameters, person.geometry, "masked.png")
    assert not editor.edit(person, person.parameters.edit(expression={"jawOpen": 0.6}), steps=2).mouth_covered
    assert not editor.edit(masked, masked.parameters.edit(yaw=10), steps=2).mouth_covered
    assert "before the mouth" not in caplog.text
    result = editor.edit(masked, masked.parameters.edit(expression={"jawOpen": 0.6}), steps=2)
    assert result.mouth_covered
    assert result.record["mouth_covered"] > 0.9
    assert "masked.png: something is before the mouth" in caplog.text
    astray = replace(masked, landmarks=replace(masked.landmarks, score=0.7))  # as of a profile: the mesh may lie beside the face
    assert astray.confidence.low
    assert astray.covered == 0
    assert masked.covered > 0.9


def test_wrong_choices(editor: Editor, person: Person) -> None:
    with pytest.raises(UserError, match="start 'nowhere' is not known"):
        editor.edit(person, person.parameters, start="nowhere")
    with pytest.raises(UserError, match="strength"):
        editor.edit(person, person.parameters, start="noise", strength=0.5)
    with pytest.raises(UserError, match=r"temperature 0\.5 belongs"):
        editor.edit(person, person.parameters, start="draft", temperature=0.5)
    with pytest.raises(UserError, match=r"temperature 1\.5 must"):
        editor.edit(person, person.parameters, start="noise", temperature=1.5)
    with pytest.raises(UserError, match="masking schedule"):
        editor.edit(person, person.parameters, masking="G")
    with pytest.raises(UserError, match=r"preset\.json"):
        Editor.load(PHOTO.parent)


def test_provenance_is_written(editor: Editor, person: Person, tmp_path: Path) -> None:
    result = editor.edit(person, person.parameters.edit(yaw=12), steps=2, seed=5)
    for name in ("edit.png", "edit.jpg"):
        save_photo(result.image, tmp_path / name, info=result.record)
        record = read_provenance(tmp_path / name)
        assert record is not None
        assert record["seed"] == 5
        assert record["edited"]["yaw"][1] == pytest.approx(12)
        assert record["source_sha256"] == person.photo.sha256
        assert record["weights"] == editor.base_id


def test_large_photo_keeps_its_detail(editor: Editor, tmp_path: Path) -> None:
    """On a photo four times as large the edited face is as sharp as the photo: same high frequencies in the cheeks."""
    from scipy.ndimage import gaussian_filter

    small = load_photo(PHOTO)
    rng = np.random.default_rng(0)
    big = np.asarray(Image.fromarray(small.array).resize((1536, 1536), Image.Resampling.BICUBIC)).astype(float)
    big = np.clip(big + rng.normal(0, 8, big.shape), 0, 255).astype(np.uint8)  # fine grain everywhere
    person = editor.read(replace(small, array=big))
    assert person.fine_crop.size >= 512
    result = editor.edit(person, person.parameters.edit(yaw=8), steps=2)

    def grain(image: np.ndarray) -> float:
        cheek = result.mask & (np.indices(result.mask.shape)[0] > 0)
        fine = image.astype(float).mean(-1)
        return float((fine - gaussian_filter(fine, 2))[cheek].std())

    assert grain(np.asarray(result.image)) > 0.6 * grain(big)


def test_personalize_is_cached_and_changes_the_edit(editor: Editor, person: Person) -> None:
    tiny = OneShot(iterations=2, batch=1, lr=1e-3, warps=1)
    first = editor.personalize(person, tiny)
    steps: list[int] = []
    again = editor.personalize(person, tiny, progress=lambda done, total, loss: steps.append(done))
    assert steps == []  # from the cache
    assert first.personal is not None
    assert again.personal is not None
    path = editor.personal_path(person, tiny)
    assert path is not None
    assert path.stat().st_size < 15e6
    target = person.parameters.edit(yaw=15)
    assert not np.array_equal(np.asarray(editor.edit(first, target, steps=2).crop), np.asarray(editor.edit(person, target, steps=2).crop))


def test_an_edit_keeps_nearly_all_fine_detail(editor: Editor) -> None:
    """Standard deviation of the Laplacian in the mask, where the photo shows it, over the photo's. The finest texture: a sensor's grain."""
    from scipy.ndimage import gaussian_filter, laplace

    small = load_photo(PHOTO)
    rng = np.random.default_rng(0)
    big = np.asarray(Image.fromarray(small.array).resize((1536, 1536), Image.Resampling.LANCZOS)).astype(float)
    grain = gaussian_filter(rng.standard_normal((1536, 1536, 3)), (0.6, 0.6, 0))
    big = np.clip(big + 6 * grain / grain.std(), 0, 255).astype(np.uint8)
    person = editor.read(replace(small, array=big))
    yaw = person.parameters.readable()["yaw"]

    def detail(image: np.ndarray, where: np.ndarray) -> float:
        return float(laplace(image.astype(float).mean(-1))[where].std())

    for edit, least in (({"expression": {"smile": 0.8}}, 0.9), ({"yaw": yaw + 12}, 0.9), ({"yaw": yaw + 25}, 0.8)):
        target = person.parameters.edit(**edit)
        result, fine = editor.edit(person, target, steps=4), prepare(person, target, 256, ("visibility",)).fine
        shown = (fine.mask > 0) & (fine.visibility > 0.5)  # what a far turn uncovers is painted, and has no grain
        assert shown.mean() > 0.1
        assert detail(result.crop_at(len(shown)), shown) >= least * detail(person.fine_crop.image, shown)
