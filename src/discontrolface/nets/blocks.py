"""The parts both networks of Diff-AE are made of: ResBlock, Attention, and the blocks that stack them.

Shapes and arithmetic follow Diff-AE (Preechakul et al., CVPR 2022; official functions named below); the module names are our own.
"""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from discontrolface.nets.randomness import Dropout


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups and eps 1e-5 (official `normalization`); fewer groups where 32 do not divide the width."""
    return nn.GroupNorm(math.gcd(32, channels), channels, eps=1e-5)


M = TypeVar("M", bound=nn.Module)


def zeroed(module: M) -> M:
    """The module with all its parameters set to zero: its output does not count at the start of training."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def silu(x: Tensor) -> Tensor:
    """SiLU; in place when no gradient is being recorded, which saves one feature map of memory per call. `x` must be a temporary."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def norm_silu(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, gain: Tensor | None = None, offset: Tensor | None = None
) -> Tensor:
    """SiLU of the group normalization of x (B,C,H,W), or of that times gain plus offset, (B,C,1,1) each; in x's dtype.

    Seven passes over memory, or one where it is compiled (`compile_norms`).
    """
    h = F.group_norm(x, groups, weight, bias, eps)  # autocast computes it in float32
    if gain is not None and offset is not None:
        h = torch.addcmul(offset, h, gain)
    return silu(h).to(x.dtype)


def timestep_embedding(t: Tensor, channels: int, max_period: float = 10_000.0) -> Tensor:
    """Sinusoidal embedding [cos(t f) | sin(t f)], f_i = max_period^(-i / half): (B,) -> (B, channels) float32.

    Official `timestep_embedding`.
    """
    half = channels // 2
    frequencies = torch.exp(-math.log(max_period) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t[:, None].float() * frequencies[None]
    embedding = torch.cat([angles.cos(), angles.sin()], dim=1)
    return F.pad(embedding, (0, channels % 2))


class ResBlock(nn.Module):
    """Residual block of Diff-AE (official `ResBlock`).

    Conditioned (U-Net): GN -> SiLU -> conv -> GN -> h (1 + s_t) + b_t -> h (1 + s_z) -> SiLU -> dropout -> conv.
    With `z_shift` the fifth step is h (1 + s_z) + b_z, as in DiffusionRig (Ding et al., CVPR 2023).
    Without conditions (`time_channels=None`, the semantic encoder): GN -> SiLU -> conv, one convolution only.
    With `resample` "down" (2x2 mean) or "up" (nearest) both branches change size between SiLU and the first convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_channels: int | None = None,  # width of the time embedding; None: no conditions
        z_channels: int | None = None,  # width of z_sem
        dropout: float = 0.0,
        z_shift: bool = False,  # z also adds an offset, as t does (DiffusionRig's)
        resample: str | None = None,  # None, "down" or "up"
    ) -> None:
        super().__init__()
        self.resample, self.z_shift, self.norm_silu = resample, z_shift, norm_silu
        self.conditioned = time_channels is not None
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        if time_channels is not None:
            assert z_channels is not None
            self.time = nn.Linear(time_channels, 2 * out_channels)
            self.semantic = nn.Linear(z_channels, (1 + z_shift) * out_channels)
            self.norm2 = group_norm(out_channels)
            self.dropout = Dropout(dropout)
            self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def change_size(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return F.avg_pool2d(x, 2)
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return x

    def modulation(self, time: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """a, b (B,C',1,1) with (h (1 + s_t) + b_t) (1 + s_z) = h a + b: a = (1 + s_t)(1 + s_z), b = b_t (1 + s_z)."""
        scale_t, shift_t = self.time(time).chunk(2, dim=1)  # (B,C), (B,C)
        semantic = self.semantic(z)  # (B,C), with z_shift (B,2C)
        scale_z = 1 + (semantic.chunk(2, dim=1)[0] if self.z_shift else semantic)  # (B,C)
        a, b = (1 + scale_t) * scale_z, shift_t * scale_z
        if self.z_shift:
            b = b + semantic.chunk(2, dim=1)[1]
        return a[:, :, None, None], b[:, :, None, None]

    def normed(self, norm: nn.GroupNorm, x: Tensor, gain: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        """See `norm_silu`."""
        return self.norm_silu(x, norm.num_groups, norm.weight, norm.bias, norm.eps, gain, offset)

    def forward(self, x: Tensor, time: Tensor | None = None, z: Tensor | None = None) -> Tensor:
        """x (B,C,H,W); time (B,E) and z (B,Z) *after* SiLU -> (B,C',H',W')."""
        h = self.change_size(self.normed(self.norm1, x))
        h = self.conv1(h)  # (B,C',H',W')
        if self.conditioned:
            assert time is not None
            assert z is not None
            h = self.normed(self.norm2, h, *self.modulation(time, z))
            h = self.conv2(self.dropout(h))
        x = self.skip(self.change_size(x))
        return h.add_(x) if not torch.is_grad_enabled() else h + x  # (B,C',H',W')


KINDS = 64  # of calls of `norm_silu` that may be compiled; a network has 24: with and without gain, gradients, autocast, a batch of one


def compile_norms(network: nn.Module) -> None:
    """Compile what lies between the convolutions of all ResBlocks, once for all of them; the first step takes half a minute longer.

    PyTorch compiles a function for 8 kinds of calls and runs the others as they are, without a word in the log of the training: the limit is raised.
    """
    from torch._dynamo import config as limits  # takes a second to import

    limit = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"  # its name until PyTorch 2.6
    setattr(limits, limit, max(KINDS, getattr(limits, limit)))
    compiled = torch.compile(norm_silu, dynamic=True)

    def of_any_width(
        x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, gain: Tensor | None = None, offset: Tensor | None = None
    ) -> Tensor:
        """Views of the parameters: a parameter's own shape is fixed in the compiled code, which would be made anew for each width."""
        return compiled(x, groups, weight.view_as(weight), bias.view_as(bias), eps, gain, offset)

    for module in network.modules():
        if isinstance(module, ResBlock):
            module.norm_silu = of_any_width


class Attention(nn.Module):
    """Self-attention over positions; legacy layout: each head's q, k, v lie together (official `AttentionBlock`, `QKVAttentionLegacy`)."""

    def __init__(self, channels: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.norm = group_norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        b, c, height, width = x.shape
        h = self.norm(x).flatten(2).transpose(1, 2)  # (B,N,C)
        qkv = self.qkv(h).view(b, height * width, self.heads, 3, c // self.heads)
        q, k, v = qkv.permute(3, 0, 2, 1, 4).unbind(0)  # each (B,heads,N,C/heads)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, height * width, c)
        return x + self.proj(h).transpose(1, 2).reshape(b, c, height, width)


class Block(nn.Module):
    """One entry of the U-Net or the encoder: a ResBlock, then possibly attention, then possibly a ResBlock that doubles the size."""

    def __init__(self, res: ResBlock, attention: Attention | None = None, resample: ResBlock | None = None) -> None:
        super().__init__()
        self.res = res
        self.attention = attention
        self.resample = resample

    def forward(self, x: Tensor, time: Tensor | None = None, z: Tensor | None = None) -> Tensor:
        h = self.res(x, time, z)
        if self.attention is not None:
            h = self.attention(h)
        if self.resample is not None:
            h = self.resample(h, time, z)
        return h


class MiddleBlock(nn.Module):
    """ResBlock, attention, ResBlock at the lowest resolution."""

    def __init__(
        self,
        channels: int,
        heads: int,
        time_channels: int | None = None,
        z_channels: int | None = None,
        dropout: float = 0.0,
        z_shift: bool = False,
    ) -> None:
        super().__init__()
        self.res1 = ResBlock(channels, channels, time_channels, z_channels, dropout, z_shift)
        self.attention = Attention(channels, heads)
        self.res2 = ResBlock(channels, channels, time_channels, z_channels, dropout, z_shift)

    def forward(self, x: Tensor, time: Tensor | None = None, z: Tensor | None = None) -> Tensor:
        return self.res2(self.attention(self.res1(x, time, z)), time, z)


def run_block(block: nn.Module, checkpointed: bool, *args: Tensor | None) -> Tensor:
    """`block(*args)`; if `checkpointed`, its activations are recomputed in the backward pass instead of kept."""
    if checkpointed and torch.is_grad_enabled():
        return checkpoint(block, *args, use_reentrant=False)
    return block(*args)
