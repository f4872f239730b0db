"""How many random heads a second the head model makes: python benchmarks/bench_heads.py [--batch 64] [--threads 2] [--runs 20]"""

from __future__ import annotations

import argparse
import statistics

import torch
from timing import times_ms

from discontrolface.face.heads.base import HeadModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    head = HeadModel.open()
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(options.batch, head.shape_count, generator=generator)
    expression = torch.rand(options.batch, head.expression_count, generator=generator)
    pose = 0.2 * torch.randn(options.batch, 5, 3, generator=generator)
    with torch.no_grad():
        times = times_ms(lambda: head(shape, expression, pose), options.runs)
    median, best = (1000 * options.batch / t for t in (statistics.median(times), min(times)))
    print(f"{options.batch} heads, {options.threads} threads: median {median:.0f} a second, best {best:.0f}")


if __name__ == "__main__":
    main()
