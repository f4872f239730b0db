"""Diff-AE on the latents of an autoencoder: the backbone for pictures of 512 pixels and more.

The U-Net denoises latents; the semantic encoder sees the (masked) picture, as in Diff-AE; to_space and from_space are the autoencoder. Its weights
are frozen and lie with the backbone's, so that a folder of a backbone is all of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.nets.autoencoders import Autoencoder, make_autoencoder
from discontrolface.nets.backbone import Space
from discontrolface.nets.control import Control, mix_preview
from discontrolface.nets.encoder import SemanticEncoder
from discontrolface.nets.face_autoencoder import FaceAutoencoder
from discontrolface.nets.network import Network
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.unet import DeepFeatures, UNet, UNetShape

SMALLEST_SPREAD = 1e-4  # of a latent channel


class LatentDiffAE(Network):
    """The defaults are the open preset's networks on 64x64 latents of 512 pixels.

    Latents are normalised by the mean and standard deviation of each channel (`set_statistics`), which are saved with the weights.
    `attention_resolutions` are grid sizes of the U-Net (image_size / stride / patch, halved per level) and of the encoder alike.
    """

    clips_x0 = False
    __call__: Callable[..., Tensor]

    def __init__(
        self,
        image_size: int = 512,  # height and width of the picture
        autoencoder: Mapping[str, Any] | None = None,  # its class and arguments, see `make_autoencoder`; None: ours
        patch: int = 1,  # pixel unshuffle of the latents before the U-Net, pixel shuffle after
        model_channels: int = 64,  # base width of the U-Net
        channel_mult: Sequence[int] = (1, 1, 2, 2),  # width per level, from the top
        num_res_blocks: int = 1,  # ResBlocks per level on the way down
        attention_resolutions: Sequence[int] = (16,),  # grid sizes with attention
        num_heads: int = 4,  # attention heads
        embed_channels: int = 256,  # width of the time embedding
        z_channels: int = 256,  # width of z_sem
        dropout: float = 0.0,  # inside the U-Net's ResBlocks, in training
        encoder_size: int = 256,  # the semantic encoder sees the picture averaged to this size
        encoder_patch: int = 4,  # and in patches of this many pixels
        encoder_channels: int = 32,  # base width of the encoder
        encoder_mult: Sequence[int] = (1, 2, 4, 4, 4),  # its width per level
        encoder_res_blocks: int = 1,  # its ResBlocks per level
        prediction_type: str = "sample",  # what the U-Net predicts: "epsilon", "sample" (x0) or "v_prediction"
    ) -> None:
        super().__init__()
        codec: Any = make_autoencoder(autoencoder or {})
        self.autoencoder: Autoencoder = codec
        codec.requires_grad_(False)
        channels, side = codec.latent_channels, image_size // codec.stride
        self.noise_process = NoiseProcess("linear", prediction_type)
        self.patch, self.image_size, self.space = patch, image_size, Space(channels, side)
        smallest = codec.stride * patch * 2 ** (len(channel_mult) - 1)
        if image_size % smallest:
            raise UserError(f"image_size {image_size} cannot be halved often enough: choose a multiple of {smallest} or fewer levels.")
        if image_size % encoder_size or encoder_size % (encoder_patch * 2 ** (len(encoder_mult) - 1)):
            raise UserError(
                f"encoder_size {encoder_size} must divide image_size {image_size} and be a multiple of "
                f"{encoder_patch * 2 ** (len(encoder_mult) - 1)}, its patches and halvings"
            )
        self.encoder_patch, self.shrink = encoder_patch, image_size // encoder_size
        self.encoder = SemanticEncoder(
            3 * encoder_patch**2,
            encoder_size // encoder_patch,
            z_channels,
            encoder_channels,
            encoder_mult,
            encoder_res_blocks,
            attention_resolutions,
            num_heads,
        )
        self.unet = UNet(channels * patch**2, channels * patch**2, UNetShape.of(self.config, side // patch))
        self.register_buffer("latent_mean", torch.zeros(channels, 1, 1))
        self.register_buffer("latent_spread", torch.ones(channels, 1, 1))
        self.latent_mean: Tensor
        self.latent_spread: Tensor

    @torch.no_grad()
    def set_statistics(self, pictures: Iterable[Tensor]) -> None:
        """Measure mean and standard deviation of the latents' channels on pictures, (B,3,H,W) each."""
        latents = torch.cat([self.autoencoder.encode(x).transpose(0, 1).flatten(1).double() for x in pictures], 1)  # (C,N)
        self.latent_mean.copy_(latents.mean(1)[:, None, None])
        self.latent_spread.copy_(latents.std(1).clamp(min=SMALLEST_SPREAD)[:, None, None])

    @property
    def measured(self) -> bool:
        """Whether `set_statistics` was called, now or before the weights were saved."""
        return bool(self.latent_mean.any())

    def to_space(self, picture: Tensor) -> Tensor:
        """(B,3,H,W) -> normalised latents (B,C,h,w)."""
        return (self.autoencoder.encode(picture) - self.latent_mean) / self.latent_spread

    def from_space(self, x: Tensor) -> Tensor:
        """Normalised latents (B,C,h,w) -> (B,3,H,W)."""
        return self.autoencoder.decode(x * self.latent_spread + self.latent_mean)

    def mirrored(self, x: Tensor) -> Tensor:
        """Normalised latents (B,C,h,w) of the mirror image."""
        if not isinstance(self.autoencoder, FaceAutoencoder):
            return self.to_space(self.from_space(x).flip(-1))
        return (self.autoencoder.mirrored(x * self.latent_spread + self.latent_mean) - self.latent_mean) / self.latent_spread

    def encode(self, x0: Tensor) -> Tensor:
        """The semantic code of a (masked) picture: (B,3,H,W) in [-1, 1] -> z_sem (B,Z)."""
        small = F.avg_pool2d(x0, self.shrink) if self.shrink > 1 else x0
        return self.encoder(F.pixel_unshuffle(small, self.encoder_patch))

    def stylespace(self, z: Tensor) -> Tensor:
        """Every U-Net ResBlock's semantic scale: (B,Z) -> (B,S)."""
        return self.unet.stylespace(z)

    def stem(self, x_t: Tensor) -> Tensor:
        """The input layer on x_t: (B,C,h,w) -> (B,W,G,G)."""
        return self.unet.stem(F.pixel_unshuffle(x_t, self.patch))

    def forward(
        self,
        x_t: Tensor,  # (B,C,h,w), noisy latents
        t: Tensor,  # (B,), timesteps 0..999
        z: Tensor,  # (B,Z), z_sem
        control: Control | Sequence[Tensor | None] | None = None,  # Exp-FaceNet's output, or one feature (or None) per decoder block
        deep: DeepFeatures | None = None,  # reuse deep features between neighbouring steps; None: never
    ) -> Tensor:
        """The prediction (of `prediction_type`): (B,C,h,w)."""
        h = self.unet(self.stem(x_t), t, z, added=control, deep=deep)  # (B,W,G,G)
        prediction = F.pixel_shuffle(self.unet.project(h), self.patch)  # (B,C,h,w)
        return mix_preview(prediction, control, x_t, t, self.noise_process)  # (B,C,h,w)
