"""The semantic encoder of Diff-AE: a picture in, z_sem out (official `BeatGANsEncoderModel`, pool `adaptivenonzero`)."""

from collections.abc import Sequence

from torch import Tensor, nn

from discontrolface.nets.blocks import Attention, Block, MiddleBlock, ResBlock, group_norm, run_block, silu


class SemanticEncoder(nn.Module):
    """Half a U-Net without conditions, average-pooled to one vector."""

    def __init__(
        self,
        in_channels: int,  # channels of the (patched) picture
        grid: int,  # its height and width in network pixels
        out_channels: int,  # width of z_sem
        channels: int,  # base width
        mult: Sequence[int],  # width per level
        res_blocks: int,  # ResBlocks per level
        attention_resolutions: Sequence[int],  # grid sizes with attention
        heads: int,  # attention heads
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        width = channels * mult[0]
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        for level, m in enumerate(mult):
            if level > 0:
                grid //= 2
                self.down.append(Block(ResBlock(width, width, resample="down")))
            for _ in range(res_blocks):
                res = ResBlock(width, channels * m)
                width = channels * m
                self.down.append(Block(res, Attention(width, heads) if grid in attention_resolutions else None))
        self.middle = MiddleBlock(width, heads)
        self.norm = group_norm(width)
        self.head = nn.Linear(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,G,G) -> z_sem (B,Z)."""
        h = self.stem(x)
        for block in self.down:
            h = run_block(block, self.gradient_checkpointing, h)
        h = run_block(self.middle, self.gradient_checkpointing, h)
        h = silu(self.norm(h)).mean(dim=(2, 3))  # (B,C)
        return self.head(h)  # (B,Z)
