"""AutoencoderTiny: the small autoencoders that were distilled from the large ones of latent diffusion models (TAESD and kin, MIT).

The same folders as diffusers' class of this name, without diffusers: the same arguments, the same names of tensors, the same numbers.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.nets.network import Network

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "swish": nn.SiLU, "mish": nn.Mish, "gelu": nn.GELU}
SOFT_RANGE = 3.0  # latents beyond it are squeezed before they are decoded


class TinyBlock(nn.Module):
    """ReLU(x + three convolutions on x)."""

    def __init__(self, width: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convolutions[0], activation(), convolutions[1], activation(), convolutions[2])

    def forward(self, x: Tensor) -> Tensor:
        """(B,width,H,W) -> the same."""
        return F.relu(x + self.conv(x))


class Layers(nn.Module):
    """A sequence under the name that the files have for it."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def encoder_layers(inputs: int, outputs: int, blocks: Sequence[int], width: int, activation: Callable[[], nn.Module]) -> list[nn.Module]:
    """Every level but the first begins with a convolution of stride 2 without bias."""
    layers: list[nn.Module] = []
    for level, count in enumerate(blocks):
        layers.append(nn.Conv2d(width, width, 3, 2, 1, bias=False) if level else nn.Conv2d(inputs, width, 3, padding=1))
        layers += [TinyBlock(width, activation) for _ in range(count)]
    return [*layers, nn.Conv2d(width, outputs, 3, padding=1)]


def decoder_layers(
    inputs: int, outputs: int, blocks: Sequence[int], width: int, activation: Callable[[], nn.Module], scale: int, mode: str
) -> list[nn.Module]:
    """Every level but the last ends with an enlargement and a convolution without bias."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1), activation()]
    for level, count in enumerate(blocks):
        layers += [TinyBlock(width, activation) for _ in range(count)]
        if level < len(blocks) - 1:
            layers += [nn.Upsample(scale_factor=scale, mode=mode), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        else:
            layers.append(nn.Conv2d(width, outputs, 3, padding=1))
    return layers


def one_width(name: str, widths: Sequence[int], blocks: Sequence[int]) -> int:
    """The width of all levels. UserError where they differ: the layers between levels have one width."""
    if len(widths) != len(blocks) or len(set(widths)) != 1:
        raise UserError(f"{name} {tuple(widths)} with blocks {tuple(blocks)}: give one width, the same for each level")
    return widths[0]


class AutoencoderTiny(Network):
    """The defaults are TAESD's. The last six arguments stand in the files and are not used: who denoises latents measures their mean and spread."""

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        encoder_block_out_channels: Sequence[int] = (64, 64, 64, 64),  # width per level, all the same
        decoder_block_out_channels: Sequence[int] = (64, 64, 64, 64),
        act_fn: str = "relu",  # one of ACTIVATIONS
        upsample_fn: str = "nearest",  # how the decoder enlarges
        latent_channels: int = 4,
        upsampling_scaling_factor: int = 2,  # by how much at a time
        num_encoder_blocks: Sequence[int] = (1, 3, 3, 3),  # per level, from the picture's side
        num_decoder_blocks: Sequence[int] = (3, 3, 3, 1),  # per level, from the latents' side
        latent_magnitude: float = 3,
        latent_shift: float = 0.5,
        force_upcast: bool = False,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        block_out_channels: Sequence[int] | None = None,  # the decoder's widths once more
    ) -> None:
        super().__init__()
        if act_fn not in ACTIVATIONS:
            raise UserError(f"act_fn {act_fn!r} is not known; choose one of {', '.join(ACTIVATIONS)}")
        if in_channels != 3 or out_channels != 3:
            raise UserError(f"in_channels {in_channels} and out_channels {out_channels} must be 3, the colours of a picture")
        self.latent_channels, self.stride = latent_channels, 2 ** (len(num_encoder_blocks) - 1)
        if upsampling_scaling_factor ** (len(num_decoder_blocks) - 1) != self.stride:
            raise UserError(
                f"the encoder halves {len(num_encoder_blocks) - 1} times and the decoder enlarges {len(num_decoder_blocks) - 1} times by "
                f"{upsampling_scaling_factor}; these must undo each other"
            )
        activation = ACTIVATIONS[act_fn]
        narrow = one_width("encoder_block_out_channels", encoder_block_out_channels, num_encoder_blocks)
        wide = one_width("decoder_block_out_channels", decoder_block_out_channels, num_decoder_blocks)
        self.encoder = Layers(encoder_layers(3, latent_channels, num_encoder_blocks, narrow, activation))
        self.decoder = Layers(
            decoder_layers(latent_channels, 3, num_decoder_blocks, wide, activation, upsampling_scaling_factor, upsample_fn)
        )

    def encode(self, picture: Tensor) -> Tensor:
        """(B,3,H,W) in [-1, 1] -> (B,C,H/stride,W/stride)."""
        return self.encoder((picture + 1) / 2)

    def decode(self, latents: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,3,h stride,w stride) in about [-1, 1]."""
        return self.decoder(torch.tanh(latents / SOFT_RANGE) * SOFT_RANGE) * 2 - 1

    def forward(self, picture: Tensor) -> Tensor:
        """A picture as the latents hold it: (B,3,H,W) -> (B,3,H,W)."""
        return self.decode(self.encode(picture))
