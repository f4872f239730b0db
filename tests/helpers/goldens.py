"""Figures of the official code in tests/goldens. What follows from a seed is drawn here instead of stored: see tests/goldens/README_*.md.

Of series and of decoder features every n-th pixel is stored, and two moments over all pixels of each plane: `close_to_golden` compares both.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from helpers.official_recipe import recipe_tensor

GOLDENS = Path(__file__).parents[1] / "goldens"
FLAME_VERTICES = 642
ROOT3 = 1.7320508  # as it was written where the figures were computed


def load_golden(name: str) -> dict[str, Tensor]:
    """The tensors of tests/goldens/NAME.safetensors."""
    return load_file(GOLDENS / f"{name}.safetensors")


def golden_input(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """An input that the official code was given: uniform in [-scale, scale], float32, from its name."""
    state = np.random.RandomState((zlib.crc32(name.encode()) + 1) % 2**32)
    return torch.from_numpy(((2 * state.random_sample(int(np.prod(shape))) - 1) * scale).reshape(shape).astype(np.float32))


def diffae_io() -> dict[str, Tensor]:
    """One forward pass of the tiny Diff-AE: inputs, code, style, noise, decoder features (thinned)."""
    inputs = {"x_start": golden_input("x_start", (2, 3, 64, 64)), "x_t": golden_input("x_t", (2, 3, 64, 64), 1.7)}
    return inputs | load_golden("diffae_tiny_io")


def diffae_ddim() -> dict[str, Tensor]:
    """Sampling, inversion and the training loss of the tiny Diff-AE; series thinned."""
    passed = diffae_io()
    inputs = {"cond": passed["z_sem"][:1], "reverse20.x0": passed["x_start"][:1]}
    inputs |= {
        "noise": golden_input("ddim_noise", (1, 3, 64, 64), ROOT3),
        "train.noise": golden_input("train_noise", (2, 3, 64, 64), ROOT3),
    }
    return inputs | load_golden("diffae_tiny_ddim")


def moments(planes: Tensor) -> Tensor:
    """(...,H,W) -> (...,2): mean and root mean square over the pixels of each plane."""
    x = planes.double()
    return torch.stack([x.mean((-2, -1)), x.square().mean((-2, -1)).sqrt()], -1).float()


def peer_recipe(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Recipe weights of GIF and HeadNeRF by official key, with the exceptions of tests/goldens/README_networks.md: styles, densities that count."""
    made = {}
    for key, shape in shapes.items():
        value = recipe_tensor(key, tuple(shape))
        if key.startswith("z_to_w.") and key.endswith(".weight"):
            value *= 100 * float(np.sqrt(shape[1]))
        elif key.endswith(("modulation.weight", "conv.weight")):
            value *= float(np.sqrt(np.prod(shape[1:])))
        elif key.endswith("modulation.bias"):
            value += 1
        elif key.endswith("density_module.weight"):
            value *= 20
        made[key] = value
    return made


def close_to_golden(ours: Tensor, golden: dict[str, Tensor], key: str, tolerance: float, part: slice = slice(None)) -> None:
    """ours (...,H,W) against golden[key], stored at every n-th pixel, and against the moments of all official pixels. part: of the first axis."""
    stored = golden[key][part]
    step = ours.shape[-1] // stored.shape[-1]
    torch.testing.assert_close(ours[..., ::step, ::step], stored, atol=tolerance, rtol=0)
    torch.testing.assert_close(moments(ours), golden[f"{key}.moments"][part], atol=tolerance, rtol=0)


def write_golden_flame(path: Path) -> None:
    """The synthetic FLAME-shaped model of the face goldens as one .npz: the small arrays are stored, the random directions drawn again."""
    state = np.random.RandomState(7)
    state.randn(FLAME_VERTICES, 3)  # the template's own noise came first
    shapes = (state.randn(FLAME_VERTICES, 3, 400) * 0.0015).astype(np.float16)
    poses = (state.randn(FLAME_VERTICES, 3, 36) * 0.002).astype(np.float16)
    with np.load(GOLDENS / "flame_synthetic.npz") as stored:
        assert (zlib.crc32(shapes.tobytes()), zlib.crc32(poses.tobytes())) == tuple(stored["crc32"]), "NumPy draws other numbers here"
        np.savez(path, shapedirs=shapes, posedirs=poses, **{key: stored[key] for key in stored.files if key != "crc32"})


def texture_arrays(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """The golden's texture space: mean (512, 512, 3) and directions (512, 512, 3, count), 0 to 255."""
    mean = np.random.RandomState(11).random_sample(786432).reshape(512, 512, 3) * 255
    directions = (np.random.RandomState(12).random_sample(786432 * 6) * 2 - 1).reshape(512, 512, 3, 6) * 20
    return mean.astype(np.float32), directions[..., :count].astype(np.float32)
