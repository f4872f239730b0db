"""Synthetic portraits: an endless, seeded source of photo-like pictures of people who do not exist, drawn from the open head.

`make_pair(seed)` gives the same person, hair, clothes, place and camera under two sets of face parameters: an edit with its true result.
Everything follows from the seed. **Seeds from 1,000,000 (HELD_OUT) on are held out**: training uses smaller ones, tests and tables larger ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.parameters import FaceParameters
from discontrolface.synthetic.anatomy import Array
from discontrolface.synthetic.edits import edit_parameters, photographed
from discontrolface.synthetic.picture import Portrait, render_scene
from discontrolface.synthetic.scene import Scene, make_scene

__all__ = [
    "HELD_OUT",
    "Pair",
    "Portrait",
    "Scene",
    "edit_parameters",
    "make_pair",
    "make_scene",
    "picture_backgrounds",
    "random_parameters",
    "render_scene",
]

HELD_OUT = 1_000_000  # seeds from here on are never trained on


@dataclass(frozen=True)
class Pair:
    """An edit with its true result: source, target, their parameters. `masks` are the source's, `target_masks` the target's."""

    source: Array
    target: Array
    source_parameters: FaceParameters
    target_parameters: FaceParameters
    masks: dict[str, Array]
    target_masks: dict[str, Array]


def picture_backgrounds() -> list[NDArray[np.uint8]]:
    """Public-domain and CC0 pictures that come with scikit-image, for `pictures=`: none with a face. Raises UserError without scikit-image."""
    try:
        from skimage import data
    except ImportError:
        raise UserError("picture backgrounds need scikit-image: pip install scikit-image, or leave pictures= empty") from None
    pictures = [getattr(data, name)() for name in ("coffee", "rocket", "grass", "gravel", "brick")]
    return [np.ascontiguousarray(p if p.ndim == 3 else np.repeat(p[..., None], 3, 2))[..., :3] for p in pictures]


def random_parameters(scene: Scene, rng: np.random.Generator) -> FaceParameters:
    """This person as a photographer might find them: mostly facing the camera, an expression, FFHQ's framing, the scene's light."""
    return photographed(scene.base, rng)


def make_pair(seed: int, size: int = 256, pictures: Sequence[NDArray[np.uint8]] = ()) -> Pair:
    """The same person before and after an edit. Seeds from HELD_OUT on are for tests only."""
    scene = make_scene(seed, pictures, detail=min(1.0, max(0.4, size / 256)))
    rng = np.random.default_rng([seed, 472])
    before = random_parameters(scene, rng)
    after = edit_parameters(before, rng)
    if rng.random() < 0.5:  # edits back to the ordinary are as frequent as edits away from it
        before, after = after, before
    source, target = render_scene(scene, before, size), render_scene(scene, after, size)
    return Pair(source.image, target.image, before, after, source.masks, target.masks)
