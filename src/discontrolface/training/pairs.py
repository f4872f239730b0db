"""Make training pairs from synthetic portraits, as blocks on disk: `python -m discontrolface.training.pairs OUT --seeds 0:4000 --processes 2`.

Each pair is one scene under two sets of parameters, with snapshots of both and the previews from each to the other. The face parameters that draw
snapshots and previews are jittered a little, as those of a fit are: the networks must not learn to trust them to the pixel.
Restartable: blocks that exist are not made again; a block is written whole or not at all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.common.parallel import begin_worker
from discontrolface.common.snapshot_spec import PAPER_MAPS
from discontrolface.face.chip import chip_of
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.random_edits import random_edit
from discontrolface.render.warp import render_preview
from discontrolface.synthetic import portraits as synthetic
from discontrolface.synthetic.anatomy import HEAD
from discontrolface.training.dataset import CHANNELS, SIDES, beside, channels, describe_pairs

if TYPE_CHECKING:
    from discontrolface.synthetic.portraits import Scene

BLOCK = 64  # pairs in a file
SHAPE_JITTER = 0.15  # standard deviations
EXPRESSION_JITTER = 0.03
MAPS = PAPER_MAPS
Sides = dict[str, FaceParameters]  # of "a" and "b"
# Of a pair: those of `dataset.SIDES`, (S, S, C) or (S, S) in [0, 1], and chip_a, chip_b (face/chip.py).
Maps = dict[str, NDArray[np.floating]]


def jittered(parameters: FaceParameters, shape: NDArray[np.floating], expression: NDArray[np.floating]) -> FaceParameters:
    """The parameters as an imperfect fit would read them; the same offsets for both sides of a pair (one person, one reader)."""
    actions = np.where(parameters.expression > 0, np.clip(parameters.expression + expression, 0, 1.5), parameters.expression)
    return parameters.with_(shape=np.clip(parameters.shape + shape, -4, 4), expression=actions)


def as_bytes(value: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(H, W, C) in [0, 1] -> (C, H, W)."""
    return np.clip(value * 255 + 0.5, 0, 255).astype(np.uint8).transpose(2, 0, 1)


class EncodedPair(NamedTuple):
    """pictures: (CHANNELS, S, S) uint8. chips: (2, 4), where the faces of both sides are (face/chip.py)."""

    pictures: NDArray[np.uint8]
    chips: NDArray[np.float32]


def encode(values: Maps) -> EncodedPair:
    """The maps of one pair, each (H, W, C) in [0, 1] (normals as 0.5 + n/2), as they are kept."""
    size = values["image_a"].shape[0]
    out = np.empty((CHANNELS, size, size), np.uint8)
    for name in SIDES:
        out[channels(name)] = as_bytes(values[name] if values[name].ndim == 3 else values[name][..., None])
    return EncodedPair(out, np.stack([values["chip_a"], values["chip_b"]]).astype(np.float32))


def write_block(path: Path, pairs: Sequence[EncodedPair]) -> None:
    """A block of pairs, and beside it where their faces are. The block comes last: where it is, all is."""
    with replacing(beside(path, "chips"), "the places of the faces") as file:
        np.save(file, np.stack([pair.chips for pair in pairs]))
    with replacing(path, "the block of pairs") as file:
        np.save(file, np.stack([pair.pictures for pair in pairs]))


def draw_pair(seed: int, pictures: Sequence[NDArray[np.uint8]], detail: float = 1.0) -> tuple[Scene, Sides, Sides]:
    """The scene of a seed, its parameters on both sides, and these as a fit would read them. `detail`: the share of the hair that is grown."""
    rng = np.random.default_rng((seed, 7))
    scene = synthetic.make_scene(seed, pictures, detail)
    a = synthetic.random_parameters(scene, rng)
    a = random_edit(a, rng, light=False) if rng.random() < 0.4 else a
    b = synthetic.edit_parameters(a, rng) if rng.random() < 0.3 else random_edit(a, rng)
    shape = rng.normal(0, SHAPE_JITTER, a.shape.shape)
    expression = rng.normal(0, EXPRESSION_JITTER, a.expression.shape)
    sides = {"a": a, "b": b}
    return scene, sides, {side: jittered(p, shape, expression) for side, p in sides.items()}


class PairDrawer:
    """Draws the pair of a seed. What all pairs need is loaded once."""

    def __init__(self, size: int) -> None:
        self.size, self.geometry, self.pictures = size, find_head(HEAD).geometry(), synthetic.picture_backgrounds()

    def pair(self, seed: int) -> EncodedPair:
        """As it is kept."""
        scene, sides, read = draw_pair(seed, self.pictures)
        images = {side: synthetic.render_scene(scene, p, self.size).image for side, p in sides.items()}
        views = {side: self.geometry.view(p) for side, p in read.items()}
        values: Maps = {}
        for here, there in (("a", "b"), ("b", "a")):
            preview = render_preview(images[here], views[here], views[there], self.geometry.rig)
            snapshot = self.geometry.snapshot(read[here], self.size, MAPS).image[0].permute(1, 2, 0).numpy() * 0.5 + 0.5
            values |= {
                f"image_{here}": images[here],
                f"normals_{here}": snapshot[..., :3],
                f"lambertian_{here}": snapshot[..., 3:],
                f"preview_{here}{there}": preview.image,
                f"visibility_{here}{there}": preview.visibility,
                f"chip_{here}": chip_of(self.geometry, read[here]),
            }
        return encode(values)


def make_block(first: int, count: int, size: int, path: Path) -> tuple[int, float]:
    """Make and write the pairs of seeds first..first+count-1. Returns (first, seconds)."""
    begin = time.monotonic()
    drawer = PairDrawer(size)
    write_block(path, [drawer.pair(seed) for seed in range(first, first + count)])
    return first, time.monotonic() - begin


def make_pairs(output: Path, first: int, last: int, size: int = 256, processes: int = 1, say: Callable[[str], None] = print) -> None:
    """All blocks of the seeds first..last-1 that are not there yet, by processes of their own."""
    if not 0 <= first < last:
        raise UserError(f"seeds {first}:{last} is not a range; give FIRST:LAST with FIRST < LAST")
    output.mkdir(parents=True, exist_ok=True)
    describe_pairs(output, HEAD)
    jobs = [(s, min(BLOCK, last - s), size, output / f"block_{s:08d}.npy") for s in range(first, last, BLOCK)]
    jobs = [job for job in jobs if not job[3].exists()]
    if not jobs:
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), begin_worker) as pool:
        for done in as_completed([pool.submit(make_block, *job) for job in jobs]):
            start, seconds = done.result()
            say(f"made synthetic pairs {start} to {min(start + BLOCK, last) - 1} ({seconds:.0f} s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", default="0:4000", help="FIRST:LAST; 1,000,000 and above are held out for evaluation")
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    first, _, last = args.seeds.partition(":")
    make_pairs(args.output, int(first), int(last), args.size, args.processes)


if __name__ == "__main__":
    main()
