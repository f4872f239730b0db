"""Real pairs: photos of one person moved into one frame, an edit with its true answer. Return pairs, where there is only one photo.

Every photo is read twice: alone, and again with one shape and albedo for the person. Source a, target b: the edit is a's
parameters with b's expression, pose and gaze, in a's crop, with a's camera. The truth is b's photo, moved by the one similarity that brings b's
fitted head onto the head that the edit asks for, and laid on the preview to the pixel (registration.py). Both pictures then share one frame, so the
pair also runs backwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_float
from discontrolface.common.video import is_clip
from discontrolface.editing.looks import warped_looks
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.editing.registration import registered
from discontrolface.editing.same_person import asked, photo_to_frame, with_one_identity
from discontrolface.face.chip import chip_of
from discontrolface.face.confidence import LOW
from discontrolface.face.crop import cut_square
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.random_edits import random_edit
from discontrolface.render.warp import render_preview
from discontrolface.synthetic.backgrounds import enlarge, make_background
from discontrolface.training.clips import read_clip
from discontrolface.training.pairs import MAPS, Maps
from discontrolface.training.walls import Head, cut_out

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class PairSettings:
    """How photos of people become pairs."""

    size: int = 256  # pixels of the pictures
    max_error: float = 2.1  # landmark error in percent of the face's width above which a photo is left out (profiles are read badly)
    min_confidence: float = LOW  # the reading's confidence (face/confidence.py) below which it is
    max_turn: float = 60.0  # degrees between two photos' heads above which they make no pair
    backgrounds: float = 0.6  # share of the pairs whose heads stand before another place, where the photos' wall is plain
    returns: int = 1  # return pairs of each photo of a person who has no second one
    seed: int = 0

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 1024:
            raise UserError(f"size {self.size} must lie between 32 and 1024 pixels")
        if not 0 <= self.backgrounds <= 1:
            raise UserError(f"backgrounds {self.backgrounds} is a share of the pairs; it must lie between 0 and 1")
        if self.returns < 0:
            raise UserError(f"returns {self.returns} must not be negative")


def person_generator(person: str, settings: PairSettings) -> np.random.Generator:
    """The randomness of one person's pairs: it does not depend on who else is in the set."""
    return np.random.default_rng((settings.seed, zlib.crc32(person.encode())))


def read_photos(paths: Sequence[Path], reader: Reader, settings: PairSettings) -> tuple[list[Person], dict[Path, str]]:
    """The readings of one person's photos, and of the frames of clips (clips.py), all with one shape and albedo; and why others were left out."""
    read: list[Person] = []
    left_out: dict[Path, str] = {}
    for path in paths:
        try:
            if is_clip(path):
                read += read_clip(path, reader, lambda person: not doubt(person, settings))
                continue
            person = reader.read(path)
        except UserError as error:
            left_out[path] = str(error)
            continue
        why = doubt(person, settings)
        if why:
            left_out[path] = why
        else:
            read.append(person)
    return with_one_identity(read, reader), left_out


def doubt(person: Person, settings: PairSettings) -> str:
    """Why a reading is not good enough to learn from; empty where it is."""
    if person.fit.mean_percent > settings.max_error:
        return f"landmark error {person.fit.mean_percent:.1f} % of the face's width"
    if person.confidence.value < settings.min_confidence:
        return f"confidence {person.confidence.value:.2f} ({person.confidence.weakest})"
    return ""


def real_pairs(people: Sequence[Person], rng: np.random.Generator, settings: PairSettings) -> Iterator[Maps]:
    """Every ordered pair of one person's photos (a's frame), whose heads are turned against each other by no more than `max_turn` degrees."""
    heads: dict[int, Head | None] = {}

    def head(k: int) -> Head | None:
        if k not in heads:
            heads[k] = cut_out(people[k].photo.array)
        return heads[k]

    for i, a in enumerate(people):
        for j, b in enumerate(people):
            if i == j or abs(a.parameters.yaw - b.parameters.yaw) > settings.max_turn:
                continue
            moved = rng.random() < settings.backgrounds
            before = (head(i), head(j)) if moved else (None, None)
            place = enlarge(make_background(rng), settings.size)
            yield real_pair(a, b, (before[0], before[1], place) if before[0] and before[1] else None)


def real_pair(a: Person, b: Person, elsewhere: tuple[Head, Head, FloatArray] | None = None) -> Maps:
    """The maps of one pair in a's frame. elsewhere: both heads without their walls, and the place to put behind them."""
    geometry, size = a.geometry, a.crop.size
    target = asked(a, b)
    matrix = photo_to_frame(b, target)
    if elsewhere is None:
        source, truth = to_float(a.crop.image), to_float(cut_square(b.photo.array, matrix, size).image)
    else:
        heads, place = elsewhere[:2], elsewhere[2]
        source, truth = heads[0].before(place, a.crop.photo_to_crop), heads[1].before(place, matrix)
    here, there = geometry.view(a.parameters), geometry.view(target)
    forth = render_preview(source, here, there, geometry.rig)
    truth = registered(truth, forth.image, forth.visibility)
    back = render_preview(truth, there, here, geometry.rig)
    return {
        "image_a": source,
        "image_b": truth,
        "preview_ab": forth.image,
        "visibility_ab": forth.visibility,
        "preview_ba": back.image,
        "visibility_ba": back.visibility,
        **drawn_maps(geometry, a.parameters, "a", size),
        **drawn_maps(geometry, target, "b", size),
    }


def return_pairs(person: Person, rng: np.random.Generator, settings: PairSettings) -> Iterator[Maps]:
    """A warp of the photo as a, the photo itself as b. It runs one way only: what the warp invented is nobody's truth."""
    photo, geometry = to_float(person.crop.image), person.geometry
    for _ in range(settings.returns):
        look = random_edit(person.parameters, rng)
        back, _ = warped_looks(photo, person.parameters, geometry, look)
        yield {
            "image_a": back.source,
            "image_b": photo,
            "preview_ab": back.preview.image,
            "visibility_ab": back.preview.visibility,
            "preview_ba": back.source,
            "visibility_ba": back.preview.visibility,
            **drawn_maps(geometry, look, "a", settings.size),
            **drawn_maps(geometry, person.parameters, "b", settings.size),
        }


def drawn_maps(geometry: Geometry, parameters: FaceParameters, side: str, size: int) -> Maps:
    """Normals and Lambertian rendering of one side, and where its face is."""
    snapshot = (geometry.snapshot(parameters, size, MAPS).image[0].permute(1, 2, 0).numpy() * 0.5 + 0.5).astype(np.float32)
    return {f"normals_{side}": snapshot[..., :3], f"lambertian_{side}": snapshot[..., 3:], f"chip_{side}": chip_of(geometry, parameters)}
