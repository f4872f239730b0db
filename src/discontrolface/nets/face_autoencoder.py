"""Our small autoencoder: a picture to latents of an eighth of its side, and back; 0.34 M parameters, 4.3 GFLOP both ways at 512 pixels.

A linear path begins as the lowest frequencies of the discrete cosine transform of 8x8 pixels, so that an untrained one already rebuilds what is
smooth; convolutions beside it, zero at the start, learn what that lacks. No normalisation layers: what it makes of a place depends on its
neighbourhood alone, so that squares can be cut from pictures and from latents alike. Trained as a variational autoencoder whose posterior has one
fixed standard deviation (training/autoencoder.py); `encode` gives the mean.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.nets.blocks import zeroed
from discontrolface.nets.network import Network

COLOURS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))  # brightness and two differences, orthogonal
COLOUR_PENALTY = 2  # a difference's frequency counts as so much higher than brightness's
SPREAD = 0.5  # standard deviation of the means of patches, about; that of waves falls with their frequency


def lowest_waves(count: int, side: int) -> list[tuple[int, int, int]]:
    """(colour, u, v) of the `count` lowest of the 3 side^2 cosine functions of a side x side patch, lowest first."""
    if count > 3 * side**2:
        raise UserError(f"a patch of {side}x{side} pixels has {3 * side**2} numbers; {count} latent channels are too many")
    every = [(c, u, v) for c in range(3) for u in range(side) for v in range(side)]
    return sorted(every, key=lambda w: (w[1] + w[2] + (COLOUR_PENALTY if w[0] else 0), w[1] + w[2], w))[:count]


def cosine_basis(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Orthonormal functions (count,3,side,side), and how strong each is in a face, about: (count,)."""
    places = (torch.arange(side, dtype=torch.float64) + 0.5) * math.pi / side
    waves = torch.stack([(k * places).cos() * math.sqrt((2 if k else 1) / side) for k in range(side)])  # (side,side)
    colours = torch.tensor(COLOURS, dtype=torch.float64)
    colours = colours / colours.norm(dim=1, keepdim=True)
    chosen = lowest_waves(count, side)
    basis = torch.stack([torch.einsum("c,i,j->cij", colours[c], waves[u], waves[v]) for c, u, v in chosen])
    spread = torch.tensor([SPREAD * side if u + v == 0 else SPREAD / (u + v) for _, u, v in chosen])
    return basis.float(), spread


class PlainBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,width,H,W) -> the same."""
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class FaceAutoencoder(Network):
    """`stride` is patch * 2^(len(widths) - 1): 8 pixels a latent by default."""

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        image_size: int = 256,  # height and width of the pictures that it is trained on; it takes any multiple of `stride`
        latent_channels: int = 16,
        patch: int = 4,  # pixel unshuffle before the convolutions, pixel shuffle after
        widths: Sequence[int] = (32, 64),  # per level, from the picture's side
        blocks: Sequence[int] = (1, 2),  # per level in the decoder; the encoder has half as many, at least one
        learned_encoder: bool = True,  # False: latents stay the cosine waves, which cost next to nothing; the way back alone learns
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not widths:
            raise UserError(f"widths {tuple(widths)} and blocks {tuple(blocks)} must be as many, one or more")
        self.image_size, self.latent_channels, self.patch = image_size, latent_channels, patch
        self.stride = patch * 2 ** (len(widths) - 1)
        if image_size % self.stride:
            raise UserError(f"image_size {image_size} is no multiple of the {self.stride} pixels of a latent")
        inputs, levels = 3 * patch**2, len(widths)

        self.analysis = nn.Conv2d(3, latent_channels, self.stride, self.stride, bias=False).requires_grad_(learned_encoder)
        layers: list[nn.Module] = [nn.Conv2d(inputs, widths[0], 3, padding=1)]
        for level, width in enumerate(widths):
            if level:
                layers.append(nn.Conv2d(widths[level - 1], width, 3, 2, 1))
            layers += [PlainBlock(width) for _ in range(max(1, blocks[level] // 2))]
        layers += [nn.SiLU(), zeroed(nn.Conv2d(widths[-1], latent_channels, 3, padding=1))]
        self.encoder = nn.Sequential(*layers) if learned_encoder else None

        self.synthesis = nn.ConvTranspose2d(latent_channels, 3, self.stride, self.stride, bias=False)
        layers = [nn.Conv2d(latent_channels, widths[-1], 3, padding=1)]
        for level in reversed(range(levels)):
            layers += [PlainBlock(widths[level]) for _ in range(blocks[level])]
            if level:
                layers += [nn.Conv2d(widths[level], 4 * widths[level - 1], 1), nn.PixelShuffle(2)]
        layers += [nn.SiLU(), zeroed(nn.Conv2d(widths[0], inputs, 3, padding=1)), nn.PixelShuffle(patch)]
        self.decoder = nn.Sequential(*layers)

        self.signs = tuple(-1.0 if v % 2 else 1.0 for _, _, v in lowest_waves(latent_channels, self.stride))  # of the waves in a mirror
        basis, spread = cosine_basis(latent_channels, self.stride)
        with torch.no_grad():
            self.analysis.weight.copy_(basis / spread[:, None, None, None])
            self.synthesis.weight.copy_(basis * spread[:, None, None, None])

    def encode(self, picture: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,C,H/stride,W/stride), the posterior's mean."""
        waves: Tensor = self.analysis(picture)
        return waves if self.encoder is None else waves + self.encoder(F.pixel_unshuffle(picture, self.patch))

    def decode(self, latents: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,3,h stride,w stride)."""
        return self.synthesis(latents) + self.decoder(latents)

    def mirrored(self, latents: Tensor) -> Tensor:
        """The latents of the mirror image: (B,C,h,w) -> the same. Of waves exactly; a learned encoder has to look at the picture."""
        if self.encoder is None:
            return latents.flip(-1) * latents.new_tensor(self.signs)[:, None, None]
        return self.encode(self.decode(latents).flip(-1))

    def forward(self, picture: Tensor) -> Tensor:
        """A picture as the latents hold it: (B,3,H,W) -> (B,3,H,W)."""
        return self.decode(self.encode(picture))
