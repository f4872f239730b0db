"""GIF's generator: StyleGAN2 that gets renderings of the 3D face where StyleGAN2 has noise.

Ghosh et al., "GIF: Generative Interpretable Faces", 3DV 2020; after Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR
2020. Who it is follows from a style code w, made from one of the fixed random codes of the training pictures or from any z; what it does follows
from the condition: the textured rendering and the normals of a FLAME head, side by side, resampled to the size of every layer.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.nets.network import Network

LEAK = 0.2
ROOT2 = math.sqrt(2)
GRID = 4  # pixels of the learned constant
BLUR = 4  # taps of the resampling filters


class EqualLinear(nn.Module):
    """A linear layer whose weights are stored at unit variance and scaled when used; rate: how much slower it learns."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.rate, self.scale = rate, rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B,I) -> (B,O)."""
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class Mapping(nn.Sequential):
    """z -> w: normalised, then linear layers with leaky ReLUs."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__(*(EqualLinear(channels, channels, rate=0.01) for _ in range(layers)))

    def forward(self, z: Tensor) -> Tensor:
        """(B,Z) -> (B,Z)."""
        w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self:
            w = F.leaky_relu(layer(w), LEAK)  # the official flag `apply_sqrt2_fac_in_eq_lin` does not reach these layers
        return w


def condition_branch(condition: int, channels: int) -> nn.Sequential:
    """What the condition adds to the features of a layer: three convolutions."""
    widths = (condition, 2 * condition, 4 * condition, channels)
    first, second, third = (nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(widths))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


def resampling_filter() -> Tensor:
    """[1 3 3 1] in both directions, with the gain that doubling the size needs: (4,4)."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / 16


class StyledConv(nn.Module):
    """Convolution under a style, then what the condition adds, then bias and leaky ReLU. up: doubles the size."""

    blur: Tensor

    def __init__(self, inputs: int, outputs: int, style: int, condition: int, up: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = EqualLinear(style, inputs, bias=1.0)
        self.condition = condition_branch(condition, outputs)
        self.up, self.scale = up, 1 / math.sqrt(inputs * 9)
        if up:
            self.register_buffer("blur", resampling_filter())

    def forward(self, x: Tensor, w: Tensor, condition: Tensor) -> Tensor:
        """(B,I,H,W), (B,Z), (B,C,h,w) -> (B,O,h,w), of the condition's size."""
        batch, outputs = len(x), len(self.weight)
        weight = self.weight * self.style(w)[:, None, :, None, None]  # (B,O,I,3,3)
        back = torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) * self.scale**2 + 1e-8)  # every output has unit variance again
        weight = weight * (back * self.scale * ROOT2)
        x = x.reshape(1, -1, *x.shape[2:])  # one group of channels for each picture: (1,B I,H,W)
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=batch)  # (1,B O,2H+1,2W+1)
            kernel = self.blur.flip(0, 1).expand(batch * outputs, 1, BLUR, BLUR)
            x = F.conv2d(x, kernel, padding=1, groups=batch * outputs)
        else:
            x = F.conv2d(x, weight.flatten(0, 1), padding=1, groups=batch)
        x = x.view(batch, outputs, *x.shape[2:])
        return F.leaky_relu(x + self.added(condition), LEAK)  # (B,O,h,w)

    def added(self, condition: Tensor) -> Tensor:
        """Condition and bias, scaled as the leaky ReLU's output is: (B,C,h,w) -> (B,O,h,w)."""
        last = self.condition[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        return F.conv2d(self.condition[:-1](condition), last.weight * ROOT2, (last.bias + self.bias) * ROOT2, padding=1)


class Level(nn.Module):
    """The layers of one size: one at the smallest, two (the first of which doubles it) at the others."""

    def __init__(self, inputs: int, outputs: int, style: int, condition: int, up: bool) -> None:
        super().__init__()
        self.first = StyledConv(inputs, outputs, style, condition, up)
        self.second = StyledConv(outputs, outputs, style, condition, up=False) if up else None

    def forward(self, x: Tensor, w: Tensor, condition: Tensor) -> Tensor:
        """(B,I,H,W) -> (B,O,h,w)."""
        x = self.first(x, w, condition)
        return x if self.second is None else self.second(x, w, condition)


class ToRGB(nn.Module):
    """The picture that a level adds to the one so far, doubled in size."""

    blur: Tensor

    def __init__(self, inputs: int, style: int, up: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, inputs))
        self.bias = nn.Parameter(torch.zeros(3))
        self.style = EqualLinear(style, inputs, bias=1.0)
        self.scale = 1 / math.sqrt(inputs)
        if up:
            self.register_buffer("blur", resampling_filter())

    def forward(self, x: Tensor, w: Tensor, picture: Tensor | None) -> Tensor:
        """(B,I,h,w), (B,Z), (B,3,h/2,w/2) -> (B,3,h,w)."""
        styled = x * self.style(w)[:, :, None, None]
        added = F.conv2d(styled, (self.weight * self.scale)[:, :, None, None], self.bias)
        if picture is None:
            return added
        planes = F.conv_transpose2d(picture.flatten(0, 1)[:, None], self.blur[None, None], stride=2, padding=1)
        return added + planes.view_as(added)


class GIF(Network):
    """The generator. The defaults are the official full model's: 31,633,991 parameters, pictures up to 1024 px (published: 256, step 6)."""

    __call__: Callable[..., Tensor]
    embeddings: Tensor

    def __init__(
        self,
        condition_channels: int = 6,  # rendering (3) and normals (3); 3 in the published ablations that see one of them
        code_channels: int = 512,  # of z and w
        channels: Sequence[int] = (512, 512, 512, 512, 512, 256, 128, 64, 32),  # of the features at 4, 8, 16, ... pixels
        mapping_layers: int = 8,
        embedding_count: int = 69_158,  # fixed random codes, one for each training picture
    ) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, channels[0], GRID, GRID))
        self.mapping = Mapping(code_channels, mapping_layers)
        inputs = (channels[0], *channels[:-1])
        self.levels = nn.ModuleList(
            Level(i, o, code_channels, condition_channels, up=n > 0) for n, (i, o) in enumerate(zip(inputs, channels, strict=True))
        )
        self.to_rgb = nn.ModuleList(ToRGB(c, code_channels, up=n > 0) for n, c in enumerate(channels))
        self.register_buffer("embeddings", torch.randn(embedding_count, code_channels))

    def style(self, indices: Tensor | None = None, z: Tensor | None = None) -> Tensor:
        """The style codes w (B,Z) of training pictures, by number (B,), or of any z (B,Z). UserError for numbers that the network does not have."""
        if (indices is None) == (z is None):
            raise UserError("GIF needs either the indices of its embeddings or a z, one of the two")
        if z is None:
            assert indices is not None
            count = len(self.embeddings)
            if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < count:
                raise UserError(
                    f"the indices {indices.flatten().tolist()} are not all among GIF's {count} embeddings; give 0 to {count - 1}"
                )
            z = self.embeddings[indices]
        return self.mapping(z)  # type: ignore[no-any-return]

    def forward(
        self,
        condition: Tensor,  # (B,C,H,W) in [-1, 1], of any size: the textured rendering and the normals of the face
        step: int = 6,  # the picture has 4 * 2**step pixels
        indices: Tensor | None = None,  # (B,) int: who, by the number of a training picture
        z: Tensor | None = None,  # (B,Z): who, by a code as the embeddings are, N(0, 1)
        w: Tensor | None = None,  # (B,Z): who, by a style code of `style`
    ) -> Tensor:
        """The picture: (B,3,4*2**step,4*2**step), in about [-1, 1]."""
        channels = int(self.config["condition_channels"])
        if condition.ndim != 4 or condition.shape[1] != channels:
            raise UserError(f"this GIF's condition is (B, {channels}, H, W), not {tuple(condition.shape)}")
        if not 1 <= step < len(self.levels):
            raise UserError(f"step {step} is out of range; this GIF has the steps 1 to {len(self.levels) - 1} (4 * 2**step pixels)")
        if w is None:
            w = self.style(indices, z)
        x, picture = self.constant.expand(len(w), -1, -1, -1), None
        for number in range(step + 1):
            size = GRID * 2**number
            resampled = F.interpolate(condition, size=(size, size), mode="bilinear", align_corners=False)
            x = self.levels[number](x, w, resampled)  # (B,C,size,size)
            picture = self.to_rgb[number](x, w, picture)  # (B,3,size,size)
        assert picture is not None
        return picture
