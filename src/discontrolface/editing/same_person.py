"""Two photos of one person in one frame: an edit of the first whose true answer is the second.

Source a, target b: the edit is a's parameters with b's expression, pose and gaze, in a's crop, with a's camera. The truth is b's photo, moved by the
one similarity that brings b's fitted head onto the head that the edit asks for, and laid on the preview to the pixel (registration.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.pixels import to_float
from discontrolface.editing.looks import Look
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.editing.registration import registered
from discontrolface.face.crop import cut_square
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.affine import apply_affine, invert_affine
from discontrolface.render.warp import render_preview

SKIN, LEAST_SKIN = "skin", 0.02  # the region that others are compared with; what is divided by at least
MAX_TURN = 60.0  # degrees between two photos' heads above which they make no pair


def fitted_again(person: Person, shape: NDArray[np.floating], reader: Reader) -> Person:
    """The same photo, fitted again with this shape held."""
    plain = replace(person.fit, offsets=np.zeros_like(person.fit.offsets))
    known = person.reading._replace(parameters=person.parameters.with_(shape=shape), fit=plain)
    again = reader.head.read(person.crop, person.landmarks, known)
    return replace(person, parameters=again.parameters, fit=again.fit)


def with_one_identity(people: Sequence[Person], reader: Reader) -> list[Person]:
    """Photos of one person, fitted again with the mean of their shapes held, and with one albedo but for each photo's own brightness and tint."""
    if len(people) < 2:
        return list(people)
    shape = np.mean([p.parameters.shape for p in people], axis=0)
    return with_one_albedo([fitted_again(person, shape, reader) for person in people])


def with_one_albedo(people: Sequence[Person]) -> list[Person]:
    """The same readings with one ratio of every region's colour to the skin's, the median. The skin stays each photo's own: it holds the photo's
    brightness and tint, as a light makes a face 1 bright (face/light_fit.py). Heads without coloured regions are returned as they are."""
    names = people[0].geometry.head.region_names
    if SKIN not in names or any(p.parameters.albedo.shape != (len(names), 3) for p in people):
        return list(people)
    skins = [np.maximum(p.parameters.albedo[names.index(SKIN)], LEAST_SKIN) for p in people]
    ratio = np.median([p.parameters.albedo / skin for p, skin in zip(people, skins, strict=True)], axis=0)
    albedos = [np.clip(ratio * skin, 0, 1).astype(np.float32) for skin in skins]
    return [replace(p, parameters=p.parameters.with_(albedo=albedo)) for p, albedo in zip(people, albedos, strict=True)]


def asked(a: Person, b: Person) -> FaceParameters:
    """The edit of a whose answer is b's photo."""
    return a.parameters.take_from(b.parameters, "expression", "pose", "gaze")


def photo_to_frame(b: Person, target: FaceParameters) -> NDArray[np.float64]:
    """The similarity (2, 3) from b's photo to the crop in which `target` poses b's head: the front half of its vertices, least squares."""
    geometry, size = b.geometry, b.crop.size
    own, wanted = geometry.view(b.parameters).vertices, geometry.view(target).vertices
    head = geometry.rig.bust < 0.5
    front = head & (own[:, 2] > np.median(own[head, 2]))
    places = [np.stack([v[front, 0] + 1, 1 - v[front, 1]], 1).astype(np.float64) * (size / 2) for v in (own, wanted)]
    return plane_similarity(apply_affine(invert_affine(b.crop.photo_to_crop), places[0]), places[1])


def plane_similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity (2, 3) that takes points (N, 2) to others, least squares."""
    a, b = source - source.mean(0), target - target.mean(0)
    turn = np.array([(a * b).sum(), a[:, 0] @ b[:, 1] - a[:, 1] @ b[:, 0]]) / max(float((a * a).sum()), 1e-12)
    matrix = np.array([[turn[0], -turn[1]], [turn[1], turn[0]]])
    return np.concatenate([matrix, (target.mean(0) - matrix @ source.mean(0))[:, None]], 1)


def true_look(a: Person, b: Person, size: int) -> Look | None:
    """b's photo as the target of an edit of a's, in a crop of `size` pixels; None where the heads are turned too far from each other."""
    if abs(a.parameters.yaw - b.parameters.yaw) > MAX_TURN:
        return None
    target, grow = asked(a, b), size / b.crop.size
    source = to_float(a.crop.resize(size).image)
    truth = to_float(cut_square(b.photo.array, photo_to_frame(b, target) * grow, size).image)
    preview = render_preview(source, a.geometry.view(a.parameters), a.geometry.view(target), a.geometry.rig)
    truth = registered(truth, preview.image, preview.visibility)
    return Look(source, a.parameters, truth, target, preview, np.ones(truth.shape[:2], np.float32))
