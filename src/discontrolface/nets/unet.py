"""The conditional U-Net that the backbone and Exp-FaceNet share (official `BeatGANsUNetModel`, two conditions)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from discontrolface.nets.blocks import Attention, Block, MiddleBlock, ResBlock, group_norm, run_block, silu, timestep_embedding, zeroed


class DeepFeatures:
    """Keeps the deep part's result from one denoising step to the next (DeepCache, Ma et al., CVPR 2024).

    `depth` levels from the top are computed at every step; what lies below only when `stored` is None. Give one object per network and
    call, and set `stored = None` whenever the deep part shall be computed anew.
    """

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        self.stored: Tensor | None = None


@dataclass(frozen=True)
class UNetShape:
    """What makes two U-Nets' trunks (all between stem and output convolution) the same."""

    grid: int  # height and width of the input in network pixels
    channels: int  # base width
    mult: tuple[float, ...]  # width per level, of the base width
    res_blocks: int  # ResBlocks per level on the way down; one more on the way up
    attention_resolutions: tuple[int, ...]  # grid sizes with attention
    heads: int  # attention heads
    embed_channels: int  # width of the time embedding
    z_channels: int  # width of z_sem
    dropout: float  # inside the ResBlocks

    @classmethod
    def of(cls, config: Mapping[str, Any], grid: int) -> "UNetShape":
        """Of the constructor arguments of a network, which all networks with such a U-Net name alike, for a grid of that size."""
        return cls(
            grid=grid,
            channels=config["model_channels"],
            mult=tuple(config["channel_mult"]),
            res_blocks=config["num_res_blocks"],
            attention_resolutions=tuple(config["attention_resolutions"]),
            heads=config["num_heads"],
            embed_channels=config["embed_channels"],
            z_channels=config["z_channels"],
            dropout=config["dropout"],
        )


class UNet(nn.Module):
    """Stem, down path, middle, up path and (unless `out_channels` is None) an output convolution.

    `up` has `len(mult) * (res_blocks + 1)` decoder blocks; the features of Exp-FaceNet are made from, and added to, their outputs.
    """

    def __init__(
        self,
        in_channels: int,  # channels of the (patched) input
        out_channels: int | None,  # channels of the (patched) output; None: no output convolution
        shape: UNetShape,
        z_shift: bool = False,  # z_sem scales and shifts (DiffusionRig); False: it scales (Diff-AE)
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.shape = shape
        grid, channels, mult, res_blocks, heads = shape.grid, shape.channels, shape.mult, shape.res_blocks, shape.heads
        attention_resolutions, embed_channels = shape.attention_resolutions, shape.embed_channels
        self.channels, self.levels, self.blocks_per_level = channels, len(mult), res_blocks + 1
        self.time_embed = nn.Sequential(nn.Linear(channels, embed_channels), nn.SiLU(), nn.Linear(embed_channels, embed_channels))

        widths = [round(channels * m) for m in mult]
        width = widths[0]
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        skips = [width]
        conditions = (embed_channels, shape.z_channels, shape.dropout, z_shift)
        for level, wide in enumerate(widths):
            if level > 0:
                grid //= 2
                self.down.append(Block(ResBlock(width, width, *conditions, resample="down")))
                skips.append(width)
            for _ in range(res_blocks):
                res = ResBlock(width, wide, *conditions)
                width = wide
                self.down.append(Block(res, Attention(width, heads) if grid in attention_resolutions else None))
                skips.append(width)

        self.middle = MiddleBlock(width, heads, *conditions)

        self.up = nn.ModuleList()
        self.up_channels: list[int] = []  # of every decoder block's output
        for level, wide in reversed(list(enumerate(widths))):
            for i in range(res_blocks + 1):
                res = ResBlock(width + skips.pop(), wide, *conditions)
                width = wide
                attention = Attention(width, heads) if grid in attention_resolutions else None
                last = level > 0 and i == res_blocks
                self.up.append(Block(res, attention, ResBlock(width, width, *conditions, resample="up") if last else None))
                self.up_channels.append(width)
            grid *= 2

        if out_channels is not None:
            self.norm = group_norm(width)
            self.head = zeroed(nn.Conv2d(width, out_channels, 3, padding=1))

    def conditions(self, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) timesteps and (B,Z) z_sem -> both as every ResBlock takes them: (B,E), (B,Z), after SiLU (computed here once)."""
        time = self.time_embed(timestep_embedding(t, self.channels).to(self.stem.weight.dtype))
        return torch.nn.functional.silu(time), torch.nn.functional.silu(z)

    def stylespace(self, z: Tensor) -> Tensor:
        """Every ResBlock's scale s_z side by side: (B,Z) -> (B, sum of widths) (official `encode_stylespace`)."""
        z = torch.nn.functional.silu(z)
        return torch.cat([module.semantic(z) for module in self.modules() if isinstance(module, ResBlock)], dim=1)

    def forward(
        self,
        h: Tensor,  # (B,C,G,G), the stem's output
        t: Tensor,  # (B,)
        z: Tensor,  # (B,Z)
        added: Sequence[Tensor | None] | None = None,  # one per decoder block, added to its output
        collect: dict[int, Tensor] | None = None,  # receives the output of every decoder block that ran, by its number
        deep: DeepFeatures | None = None,  # reuse of the deep part; None: compute everything
    ) -> Tensor:
        """The trunk from after the stem to before the output convolution: (B,C,G,G) -> (B,C,G,G).

        With h, t and z of one sample and `added` of B, what does not depend on `added` (the way down, the middle, the first decoder block)
        is computed once for all: edits of one photo share them at the first step.
        """
        time, z = self.conditions(t, z)
        n = self.blocks_per_level
        shallow = self.levels if deep is None else deep.depth  # levels computed at every step
        reuse = deep is not None and deep.stored is not None

        skips = [h]
        for block in self.down[: shallow * n - 1] if reuse else self.down:
            h = run_block(block, self.gradient_checkpointing, h, time, z)
            skips.append(h)
        first = (self.levels - shallow) * n  # the first decoder block computed at every step
        if reuse:
            assert deep is not None
            assert deep.stored is not None
            h = deep.stored
        else:
            h = run_block(self.middle, self.gradient_checkpointing, h, time, z)
        for k, block in enumerate(self.up):
            if reuse and k < first:
                continue
            if deep is not None and not reuse and k == first:
                deep.stored = h
            skip = skips.pop()
            if len(skip) < len(h):
                skip = torch.cat([skip] * len(h))  # expanded it would lose its memory order, and convolutions a quarter of their speed
            h = run_block(block, self.gradient_checkpointing, torch.cat([h, skip], dim=1), time, z)
            feature = None if added is None else added[k]
            if feature is not None:
                h = h + feature
            if collect is not None:
                collect[k] = h
        return h

    def project(self, h: Tensor) -> Tensor:
        """The output convolution on the trunk's result: (B,C,G,G) -> (B,out_channels,G,G)."""
        return self.head(silu(self.norm(h)))
