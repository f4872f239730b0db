"""Albedo maps for pairs that exist: `python -m discontrolface.training.albedo PAIRS [-o OUT]` (a tenth of a second a pair on one core).

Blocks of pairs hold normals and the Lambertian rendering; who wants the albedo as well (the nine buffers of DiffusionRig) draws it with this.
All about a pair follows from its seed, so both sides are drawn again without their photos. The Lambertian rendering is drawn with them and
must be the block's, byte for byte: the albedo is then of the very same heads. One file `albedo_*.npy` for each `block_*.npy`, in PAIRS or,
where that must stay as it is, in OUT, which gets links to the blocks. Restartable, as `training.pairs`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.face.heads.registry import find_head
from discontrolface.synthetic.anatomy import HEAD
from discontrolface.synthetic.portraits import picture_backgrounds
from discontrolface.training.dataset import ALBEDO, PairDataset, beside, channels, describe_pairs
from discontrolface.training.pairs import as_bytes, draw_pair

MAPS = ("lambertian", "albedo")


def first_seed(block: Path) -> int:
    """The seed of a block's first pair, which its name says."""
    number = block.stem.removeprefix("block_")
    if not number.isdigit():
        raise UserError(
            f"{block.name} does not say its first seed, as block_00004000.npy does; albedo can be drawn for blocks of training.pairs only"
        )
    return int(number)


def draw_albedo(block: Path, output: Path) -> None:
    """Draw and write the albedo maps (N, 6, H, W) uint8 of a block's pairs. UserError if its Lambertian maps are not drawn again exactly."""
    pairs = np.load(block, mmap_mode="r", allow_pickle=False)
    geometry, pictures = find_head(HEAD).geometry(), picture_backgrounds()
    size, first = pairs.shape[-1], first_seed(block)
    maps = np.empty((len(pairs), sum(ALBEDO.values()), size, size), np.uint8)
    for k in range(len(pairs)):
        _, _, read = draw_pair(first + k, pictures, detail=0.01)  # hair is not drawn
        for place, (side, parameters) in enumerate(read.items()):
            drawn = geometry.snapshot(parameters, size, MAPS).image[0].permute(1, 2, 0).numpy() * 0.5 + 0.5
            if not np.array_equal(as_bytes(drawn[..., :3]), pairs[k, channels(f"lambertian_{side}")]):
                raise UserError(
                    f"{block} was not made as pairs are made now (its pair of seed {first + k} is another head); make it again with "
                    "python -m discontrolface.training.pairs"
                )
            maps[k, 3 * place : 3 * place + 3] = as_bytes(drawn[..., 3:])
    with replacing(output, "the albedo maps") as file:
        np.save(file, maps)


def draw_folder(pairs: Path, output: Path | None = None) -> int:
    """Albedo for all blocks of a folder that have none. With `output` the files go there, beside links to the blocks. Returns how many were drawn."""
    output = output or pairs
    output.mkdir(parents=True, exist_ok=True)
    data = PairDataset(pairs)
    if data.head != HEAD:
        raise UserError(
            f"the pairs in {pairs} are of the head model {data.head!r}; albedo can be drawn for those of training.pairs, of {HEAD!r}"
        )
    describe_pairs(output, HEAD)
    drawn = 0
    for path in data.paths:
        file = beside(output / path.name, "albedo")
        if not file.exists():
            draw_albedo(path, file)
            drawn += 1
        for file in (beside(path, "chips"), path):  # the block after its albedo, so that every block in the folder has one
            if file.exists() and not (output / file.name).exists():
                (output / file.name).symlink_to(file.resolve())
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="a folder of block_*.npy")
    parser.add_argument("-o", "--output", type=Path, help="a folder for the albedo files and links to the blocks [default: PAIRS]")
    args = parser.parse_args()
    print(f"drew {draw_folder(args.pairs, args.output)} files")


if __name__ == "__main__":
    main()
