"""HeadNeRF: a head as a radiance field of feature vectors, and a small 2D network that makes the picture of them.

Hong et al., "HeadNeRF: A Real-time NeRF-based Parametric Head Model", CVPR 2022. An MLP gives density and a feature vector to every point of space,
under two codes: shape (identity, expression) and appearance (texture, light). The features along the rays of a small map are summed as colours are in
a NeRF; where rays end in nothing, a learned background shows. Memory does not grow with the number of rays: a few hundred are made at a time, and
where gradients are wanted their activations are computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from discontrolface.common.errors import UserError
from discontrolface.nets.headnerf_rays import Camera, Rays, pixel_grid
from discontrolface.nets.network import Network

FREQUENCIES = 10  # of the points' encoding
ENCODED = 3 + 6 * FREQUENCIES
LAYERS = 8  # of the density's MLP
SKIP = 5  # this layer sees the point and the code again
LEAK = 0.2
EXPRESSION, LIGHT = 79, 27  # numbers of the expression at the end of the shape code, of the light at the end of the appearance code
STEEPEST = 75  # degrees: rays are sampled between planes, which they must meet
NEUTRAL_LIGHT = 0.8  # of the constant band, as the official fitting of a photo begins


class HeadImages(NamedTuple):
    """merge_img: head before background, bg_img: the background alone; (B,3,H,W) in [0, 1]. Also by name, as the official dict has them."""

    merge_img: Tensor
    bg_img: Tensor

    def __getitem__(self, key: Any) -> Any:
        return getattr(self, key) if isinstance(key, str) else tuple.__getitem__(self, key)


def encoded(points: Tensor) -> Tensor:
    """The point itself, then sine and cosine of 2^0 to 2^9 times it: (...,3) -> (...,63)."""
    waves = (wave(points * 2.0**n) for n in range(FREQUENCIES) for wave in (torch.sin, torch.cos))
    return torch.cat([points, *waves], dim=-1)


class RadianceField(nn.Module):
    """The MLP. What a code adds to a layer is the same at every point, so it is computed once, as that layer's bias."""

    def __init__(self, shape: int, appearance: int, hidden: int, features: int) -> None:
        super().__init__()
        inputs = ENCODED + shape
        widths = [inputs] + [hidden] * (LAYERS - 1)
        widths[SKIP] += inputs
        self.layers = nn.ModuleList(nn.Linear(width, hidden) for width in widths)
        self.density = nn.Linear(hidden, 1)
        self.colour = nn.ModuleList(
            [nn.Linear(hidden, hidden), nn.Linear(hidden + appearance, hidden // 2), nn.Linear(hidden // 2, features)]
        )
        self.inputs = inputs

    def forward(self, points: Tensor, shape: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N,3) under codes (S,), (A,) -> densities (N,) and what the last layer of the feature vectors takes (N,H/2)."""
        position = encoded(points)  # (N,63)
        x = position
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            if number in (0, SKIP):
                own = layer.weight[:, ENCODED : self.inputs] @ shape + layer.bias  # (H,)
                y = F.linear(position, layer.weight[:, :ENCODED], own)
                x = y if number == 0 else torch.addmm(y, x, layer.weight[:, self.inputs :].T)
            else:
                x = layer(x)
            x = F.relu(x, inplace=True)  # (N,H)
        hidden, last = self.colour[0](x), self.colour[1]
        assert isinstance(last, nn.Linear)
        own = last.weight[:, x.shape[1] :] @ appearance + last.bias  # (H/2,)
        features = F.relu(F.linear(hidden, last.weight[:, : x.shape[1]], own), inplace=True)
        return F.relu(self.density(x))[:, 0], features

    def along(self, points: Tensor, lengths: Tensor, shape: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        """Volume rendering: points (R,S,3) that stand for lengths (R,S) -> feature vectors (R,F) and what is left of the background (R,)."""
        density, features = self(points.flatten(0, 1), shape, appearance)
        alpha = 1.0 - torch.exp(-density.view_as(lengths) * lengths)  # (R,S)
        passed = torch.cumprod(F.pad(1.0 - alpha + 1e-10, (1, 0), value=1.0), dim=1)[:, :-1]
        weights = alpha * passed
        covered = weights.sum(1)
        summed = torch.bmm(weights[:, None], features.view(*lengths.shape, -1))[
            :, 0
        ]  # (R,H/2); the last layer is linear, so it may come after
        last = self.colour[2]
        assert isinstance(last, nn.Linear)
        return F.linear(summed, last.weight) + covered[:, None] * last.bias, 1.0 - covered


class Blur(nn.Module):
    """Blurs by a small filter in both directions, mirrored at the edges; its numbers stand in the file."""

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", torch.tensor([1.0, 2.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        kernel = torch.outer(self.taps, self.taps)
        kernel = (kernel / kernel.abs().sum()).expand(x.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1])


class Doubling(nn.Module):
    """Twice the size by pixel shuffle: the features four times over, plus what two layers make of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, 2 * channels, 1), nn.Conv2d(2 * channels, 4 * channels, 1)
        self.blur = Blur()

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,2H,2W)."""
        y = F.leaky_relu(self.second(F.leaky_relu(self.first(x), LEAK)), LEAK)
        return self.blur(F.pixel_shuffle(y + x.repeat(1, 4, 1, 1), 2))  # type: ignore[no-any-return]


class NeuralRenderer(nn.Module):
    """Feature map to picture: each level doubles the size, and adds a picture of its own to the one so far."""

    def __init__(self, widths: Sequence[int], grid: int) -> None:
        super().__init__()
        self.background = nn.Parameter(torch.ones(1, widths[0], grid, grid))
        self.up = nn.ModuleList(Doubling(width) for width in widths[:-1])
        self.narrow = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in pairwise(widths))
        self.to_rgb = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths)
        self.blur = Blur()

    def forward(self, x: Tensor) -> Tensor:
        """(B,F,G,G) -> (B,3,H,W) in [0, 1]."""
        rgb = self.to_rgb[0](x)
        for up, narrow, to_rgb in zip(self.up, self.narrow, list(self.to_rgb)[1:], strict=True):
            rgb = self.blur(F.interpolate(rgb, scale_factor=2, mode="bilinear", align_corners=False))
            x = F.leaky_relu(narrow(up(x)), LEAK)
            rgb = rgb + to_rgb(x)
        return torch.sigmoid(rgb)


def _degrees(values: float | Sequence[float]) -> list[float]:
    """Angles of one head or of many. UserError for those at which the rays would not meet the planes they are sampled between."""
    angles = [float(value) for value in values] if isinstance(values, Iterable) else [float(values)]
    wrong = [angle for angle in angles if not abs(angle) <= STEEPEST]
    if wrong:
        raise UserError(f"an angle of {wrong[0]:g} degrees is out of a HeadNeRF's range, -{STEEPEST} to {STEEPEST}")
    return angles


class HeadNeRF(Network):
    """The whole model. The defaults are those of the official model_Reso64: 3,473,165 parameters, 512x512 pixels from 64x64 rays."""

    __call__: Callable[..., HeadImages]

    def __init__(
        self,
        featmap_size: int = 64,  # rays along a side
        widths: Sequence[int] = (256, 128, 64, 32),  # of the 2D network's features, from the rays' size to the picture's
        shape_channels: int = 179,  # identity (100) and expression (79)
        appearance_channels: int = 127,  # texture (100) and light (27)
        hidden_channels: int = 384,  # of the MLP
        samples: int = 64,  # points along a ray
    ) -> None:
        super().__init__()
        self.field = RadianceField(shape_channels, appearance_channels, hidden_channels, widths[0])
        self.renderer = NeuralRenderer(widths, featmap_size)

    @property
    def grid(self) -> int:
        """Rays along a side."""
        return int(self.config["featmap_size"])

    @property
    def image_size(self) -> int:
        """Pixels of the picture."""
        return self.grid * 2 ** (len(self.config["widths"]) - 1)

    @property
    def code_sizes(self) -> dict[str, int]:
        """Numbers of each code, by the names that `render` has."""
        shape, appearance = int(self.config["shape_channels"]), int(self.config["appearance_channels"])
        return {"shape": shape - EXPRESSION, "expression": EXPRESSION, "texture": appearance - LIGHT, "light": LIGHT}

    def forward(
        self,
        batch_xy: Tensor,  # (B or 1,2,R): the rays' pixels in the feature map, R = grid^2, row by row
        batch_uv: Tensor | None = None,  # the official code does not read it either
        bg_code: None = None,  # neither: the background has no code
        shape_code: Tensor | None = None,  # (B,S): identity, expression
        appea_code: Tensor | None = None,  # (B,A): texture, light
        batch_Rmats: Tensor | None = None,  # (B or 1,3,3): camera to world
        batch_Tvecs: Tensor | None = None,  # (B or 1,3,1): the cameras' places
        batch_inv_inmats: Tensor | None = None,  # (B or 1,3,3): inverse intrinsics
        ray_chunk: int = 128,  # rays at a time; memory grows with it
    ) -> HeadImages:
        """The official forward pass (mode "test") by its argument names. UserError for arguments that are missing or misshapen."""
        named = {"batch_Rmats": batch_Rmats, "batch_Tvecs": batch_Tvecs, "batch_inv_inmats": batch_inv_inmats}
        shape, appearance = self._codes(shape_code, appea_code, bg_code)
        batch, rays = len(shape), self.grid**2
        cameras = [self._matched(named[name], name, batch, (3, 1 if name == "batch_Tvecs" else 3)) for name in named]
        pixels = self._matched(batch_xy, "batch_xy", batch, (2, rays))
        beams = Rays.through(pixels, *cameras)
        features, clear = zip(*(self._picture(beams, n, shape[n], appearance[n], ray_chunk) for n in range(batch)), strict=True)
        size = (batch, -1, self.grid, self.grid)
        background = self.renderer.background
        merged = torch.stack(features).mT.reshape(size) + torch.stack(clear).reshape(size) * background  # (B,F,G,G)
        return HeadImages(self.renderer(merged), self.renderer(background))

    def _picture(self, beams: Rays, number: int, shape: Tensor, appearance: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """One picture's feature vectors (R,F) and what shows of its background (R,), a few rays at a time."""
        parts = []
        for start in range(0, beams.length.shape[2], chunk):
            points, lengths = beams.samples(number, slice(start, start + chunk), int(self.config["samples"]))
            if torch.is_grad_enabled():
                parts.append(checkpoint(self.field.along, points, lengths, shape, appearance, use_reentrant=False))
            else:
                parts.append(self.field.along(points, lengths, shape, appearance))
        features, clear = zip(*parts, strict=True)
        return torch.cat(features), torch.cat(clear)

    def _codes(self, shape: Tensor | None, appearance: Tensor | None, background: None) -> tuple[Tensor, Tensor]:
        if background is not None:
            raise UserError("HeadNeRF's background has no code; give bg_code=None")
        for name, code, width in (("shape_code", shape, "shape_channels"), ("appea_code", appearance, "appearance_channels")):
            if code is None or code.ndim != 2 or code.shape[1] != self.config[width]:
                given = "nothing" if code is None else str(tuple(code.shape))
                raise UserError(f"{name} is (B, {self.config[width]}) in this HeadNeRF, not {given}")
        assert shape is not None
        assert appearance is not None
        if len(shape) != len(appearance):
            raise UserError(f"shape_code is for {len(shape)} pictures, appea_code for {len(appearance)}")
        return shape, appearance

    def _matched(self, value: Tensor | None, name: str, batch: int, size: tuple[int, int]) -> Tensor:
        if value is None or value.ndim != 3 or tuple(value.shape[1:]) != size or len(value) not in (1, batch):
            given = "nothing" if value is None else str(tuple(value.shape))
            raise UserError(f"{name} must be ({batch}, {size[0]}, {size[1]}), not {given}")
        return value.expand(batch, -1, -1)

    def render(
        self,
        shape: Tensor | Sequence[float] | None = None,  # (100,) or (B,100) identity; None: zeros
        expression: Tensor | Sequence[float] | None = None,  # (79,) or (B,79)
        texture: Tensor | Sequence[float] | None = None,  # (100,) or (B,100)
        light: Tensor | Sequence[float] | None = None,  # (27,) or (B,27): spherical harmonics, (9,3) flat; None: even
        yaw: float | Sequence[float] = 0.0,  # degrees, as everywhere here: positive turns the face to the image's right
        pitch: float | Sequence[float] = 0.0,  # degrees, positive: the face looks up
        size: int | None = None,  # pixels of the picture; None: the model's own
        roll: float | Sequence[float] = 0.0,  # degrees, positive: clockwise
        ray_chunk: int = 128,
    ) -> Tensor:
        """Pictures (B,3,size,size) in [0, 1] of heads by their codes, seen from any side; single codes and angles serve the whole batch."""
        given = {"shape": shape, "expression": expression, "texture": texture, "light": light}
        codes = [self._code(name, value) for name, value in given.items()]
        angles = [_degrees(values) for values in (yaw, pitch, roll)]
        batch = max(*(len(c) for c in codes), *(len(a) for a in angles))
        uneven = [count for count in (*map(len, codes), *map(len, angles)) if count not in (1, batch)]
        if uneven:
            raise UserError(f"codes and angles are for {uneven[0]} and for {batch} heads; give one for all, or as many of each")
        identity, expressed, textured, lit = (code.expand(batch, -1) for code in codes)
        device = self.renderer.background.device
        yaws, pitches, rolls = (values * (batch // len(values)) for values in angles)
        camera = Camera.turned(yaws, pitches, rolls, self.grid).to(device)
        images = self(
            pixel_grid(self.grid).to(device),
            shape_code=torch.cat([identity, expressed], 1),
            appea_code=torch.cat([textured, lit], 1),
            batch_Rmats=camera.rotation,
            batch_Tvecs=camera.position,
            batch_inv_inmats=camera.inverse_intrinsics,
            ray_chunk=ray_chunk,
        ).merge_img
        if size is None or size == self.image_size:
            return images
        return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=True)

    def _code(self, name: str, value: Tensor | Sequence[float] | None) -> Tensor:
        """(B,N) of a code. UserError for another number of values."""
        count, device = self.code_sizes[name], self.renderer.background.device
        if value is None:
            code = torch.zeros(1, count, device=device)
            if name == "light":
                code[:, :3] = NEUTRAL_LIGHT
            return code
        code = torch.as_tensor(value, dtype=torch.float32, device=device)
        code = code[None] if code.ndim == 1 else code
        if code.ndim != 2 or code.shape[1] != count:
            raise UserError(f"the {name} of this HeadNeRF has {count} numbers, not {tuple(code.shape)}")
        return code
