"""The registry of head models: what is in it, and that a new one is one object and one call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discontrolface import Editor, UserError
from discontrolface.common.example import example_photo
from discontrolface.common.images import load_photo
from discontrolface.editing.personalize import OPEN_ONE_SHOT
from discontrolface.editing.reading import Reader
from discontrolface.face.heads import registry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.heads.contract import Head, HeadOptions
from discontrolface.face.heads.open import FittedReader
from discontrolface.face.heads.registry import find_head, head_names, register_head
from discontrolface.face.transfer import rebuilt

PHOTO = example_photo()


def few_shapes(options: HeadOptions) -> HeadModel:
    """The open head with 20 of its 80 shapes: another head model."""
    head = HeadModel.open()
    shapes = head.shape_dirs.numpy().reshape(head.shape_count, -1, 3)[:20]
    return rebuilt(head, shape_dirs=shapes, name="toy")


@pytest.fixture
def toy() -> Iterator[Head]:
    """A head model of a plug-in."""
    head = Head("toy", few_shapes, lambda options: FittedReader(few_shapes(options)))
    register_head(head)
    yield head
    registry._HEADS.pop("toy")


def test_the_heads_of_the_package() -> None:
    assert head_names() == ("open", "flame")
    assert find_head("open").geometry().label == "open"
    with pytest.raises(UserError, match=r"'smpl' is not known; choose one of open, flame"):
        find_head("smpl")
    with pytest.raises(UserError, match="there is a head model 'open' already"):
        register_head(Head("open", few_shapes, lambda options: FittedReader(few_shapes(options))))
    register_head(find_head("open"))  # the same again is nothing new


def test_a_registered_head_reads_and_draws(toy: Head) -> None:
    person = Reader.load("toy", 128).read(PHOTO)
    assert (person.parameters.head, person.parameters.shape.shape, person.crop.size) == ("toy", (20,), 128)
    assert person.geometry.snapshot(person.parameters.edit(yaw=20), 64, ("normals", "lambertian")).mask.any()
    turned = np.asarray(person.preview(person.parameters.edit(yaw=20)))
    assert not np.array_equal(turned, np.asarray(person.preview(person.parameters)))


def test_every_face_of_a_photo(tmp_path: Path) -> None:
    photo = Image.open(PHOTO).convert("RGB")
    both = Image.new("RGB", (2 * photo.width, photo.height))
    both.paste(photo, (0, 0))
    both.paste(photo.resize((photo.width * 2 // 3, photo.height * 2 // 3)), (photo.width, 0))
    both.save(tmp_path / "group.png")
    editor = Editor.load("open")
    left, right = editor.read_all(tmp_path / "group.png")
    assert left.crop.to_photo(np.array([128.0, 128.0]))[0] < photo.width < right.crop.to_photo(np.array([128.0, 128.0]))[0]
    assert left.crop.scale < right.crop.scale
    assert editor.read(load_photo(tmp_path / "group.png"), face=1).parameters == right.parameters
    Image.new("RGB", (200, 200)).save(tmp_path / "black.png")
    with pytest.raises(UserError, match=r"no face found in .*black.png"):
        editor.read_all(tmp_path / "black.png")


def test_one_shot_of_the_open_preset_is_ours() -> None:
    assert Editor.load("open").settings == OPEN_ONE_SHOT
