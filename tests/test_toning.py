"""Photos without colours stay so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from discontrolface import Editor
from discontrolface.common.example import example_photo
from discontrolface.common.images import load_photo
from discontrolface.editing.toning import Toning

PHOTO = example_photo()


def toned(array: np.ndarray, kind: str) -> np.ndarray:
    """The photo in black and white, or in sepia: brown in the middle tones."""
    grey = (array @ np.array([0.299, 0.587, 0.114])) / 255
    if kind == "grey":
        return np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, -1)
    return np.rint(np.stack([grey**0.8, grey, grey**1.3], -1) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.load("open")


@pytest.mark.parametrize("kind", ["grey", "sepia"])
def test_an_open_mouth_has_the_tones_of_the_photo(editor: Editor, kind: str) -> None:
    """Teeth, tongue and lips are drawn in colours; what is pasted has none. The rest of the photo says what sepia is."""
    photo = load_photo(PHOTO)
    person = editor.read(replace(photo, array=toned(photo.array, kind)))
    target = person.parameters.edit(expression={"jawOpen": 0.7}, light="left")
    result = editor.edit(person, target, start="noise", steps=2)
    picture = np.asarray(result.image).astype(int)
    assert (picture != person.photo.array).any(-1).sum() > 3000
    if kind == "grey":
        assert (picture.max(-1) - picture.min(-1)).max() <= 2
        assert np.ptp(np.asarray(person.preview(target)).astype(int), axis=-1).max() <= 2
    else:
        inside = picture[result.mask]
        reference = person.photo.array.reshape(-1, 3).astype(int)
        level = np.rint(reference @ np.array([0.299, 0.587, 0.114])).astype(int)
        mean = np.array([reference[level == k].mean(0) if (level == k).any() else [np.nan] * 3 for k in range(256)])
        of = mean[np.rint(inside @ np.array([0.299, 0.587, 0.114])).astype(int)]
        assert np.nanquantile(np.abs(inside - of).max(-1), 0.99) <= 8


def test_a_photo_in_colours_has_no_toning(editor: Editor) -> None:
    photo = load_photo(PHOTO)
    assert editor.read(photo).toning is None
    grey = Toning.of(toned(photo.array, "grey"))
    assert grey is not None
    assert grey.tones is None
    values = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    assert np.allclose(grey.apply(values), (values @ np.array([0.299, 0.587, 0.114]))[..., None], atol=1e-6)
    assert Toning.of(toned(photo.array, "sepia")) is not None


def test_no_edit_of_a_grey_photo_changes_no_pixel(editor: Editor) -> None:
    photo = load_photo(PHOTO)
    person = editor.read(replace(photo, array=toned(photo.array, "grey")))
    result = editor.edit(person, person.parameters, steps=2)
    assert np.array_equal(np.asarray(result.image), person.photo.array)
