"""How many synthetic portraits and pairs a second one core draws: `python benchmarks/bench_synthetic.py [seconds per size]`."""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from discontrolface.synthetic.portraits import make_pair, make_scene, random_parameters, render_scene


def main() -> None:
    """Median over people, after a warm-up that compiles the kernels."""
    torch.set_num_threads(1)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    for size in (128, 256):
        make_pair(0, size)
        scenes, portraits, pairs = [], [], []
        stop = time.perf_counter() + seconds
        seed = 1
        while time.perf_counter() < stop:
            start = time.perf_counter()
            scene = make_scene(seed, detail=size / 256)
            drawn = time.perf_counter()
            parameters = random_parameters(scene, np.random.default_rng(seed))
            render_scene(scene, parameters, size)
            done = time.perf_counter()
            make_pair(seed, size)
            scenes.append(drawn - start)
            portraits.append(done - drawn)
            pairs.append(time.perf_counter() - done)
            seed += 1
        scene_ms, portrait_ms, pair_ms = (1000 * float(np.mean(times)) for times in (scenes, portraits, pairs))
        print(
            f"{size} px, one core: scene {scene_ms:.0f} ms, portrait of it {portrait_ms:.0f} ms ({1000 / portrait_ms:.1f}/s), "
            f"pair {pair_ms:.0f} ms ({2000 / pair_ms:.1f} portraits/s), {seed - 1} people"
        )


if __name__ == "__main__":
    main()
