"""Weights on the way from those before a training to those after it, as a preset holds them: `scripts/mean_of_weights.py BEFORE AFTER 0.75 OUT`.

What a fine-tuning gains often lies on the straight way to it, with less of what it costs (Wortsman et al., CVPR 2022, "WiSE-FT"); what a short one
only began, beyond its end (Zheng et al., 2024, "ExPO"). Folders of an Exp-FaceNet; OUT is float16.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from discontrolface.common.errors import UserError
from discontrolface.nets.exp_facenet import ExpFaceNet


def between(before: ExpFaceNet, after: ExpFaceNet, share: float) -> ExpFaceNet:
    """`before` moved by `share` (0 to 2) of the way to `after`."""
    there = after.state_dict()
    moved = {name: (1 - share) * value.float() + share * there[name].float() for name, value in before.state_dict().items()}
    before.load_state_dict(moved)
    return before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("share", type=float, help="0: as before, 1: as after; above 1: beyond")
    parser.add_argument("output", type=Path, help="a folder that is not there yet")
    args = parser.parse_args()
    if not 0 <= args.share <= 2:
        raise UserError(f"share {args.share} must lie between 0 and 2")
    if args.output.exists():
        raise UserError(f"{args.output} is there already; choose another folder")
    before, after = (ExpFaceNet.from_pretrained(folder) for folder in (args.before, args.after))
    if before.config != after.config:
        raise UserError(f"{args.before} and {args.after} are networks of different configs; give two of one run")
    between(before, after, args.share).half().save_pretrained(args.output)


if __name__ == "__main__":
    main()
