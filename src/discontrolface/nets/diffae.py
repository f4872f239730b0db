"""Diff-AE, a diffusion autoencoder: the backbone that Exp-FaceNet steers (Preechakul et al., CVPR 2022; official `BeatGANsAutoencModel`)."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.nets.backbone import Space
from discontrolface.nets.control import Control, mix_preview
from discontrolface.nets.encoder import SemanticEncoder
from discontrolface.nets.network import Network
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.unet import DeepFeatures, UNet, UNetShape


class DiffAE(Network):
    """Semantic encoder and conditional U-Net. The defaults are the official FFHQ256 autoencoder: 168,492,291 parameters.

    With `patch` p > 1 (the open preset) both networks see p x p pixels as channels: a (3,256,256) picture with p = 4 is (48,64,64) inside.
    Resolutions in `attention_resolutions` are those of the grid inside (image_size / patch, halved per level).
    """

    clips_x0 = True
    __call__: Callable[..., Tensor]

    def __init__(
        self,
        image_size: int = 256,  # height and width of the picture
        patch: int = 1,  # pixel unshuffle before the networks, pixel shuffle after
        in_channels: int = 3,  # colour channels
        model_channels: int = 128,  # base width of the U-Net
        channel_mult: Sequence[int] = (1, 1, 2, 2, 4, 4),  # width per level, from the top
        num_res_blocks: int = 2,  # ResBlocks per level on the way down
        attention_resolutions: Sequence[int] = (16,),  # grid sizes with attention
        num_heads: int = 1,  # attention heads
        embed_channels: int = 512,  # width of the time embedding
        z_channels: int = 512,  # width of z_sem
        dropout: float = 0.1,  # inside the U-Net's ResBlocks, in training
        encoder_channels: int = 128,  # base width of the encoder
        encoder_mult: Sequence[int] = (1, 1, 2, 2, 4, 4, 4),  # its width per level
        encoder_res_blocks: int = 2,  # its ResBlocks per level
        prediction_type: str = "epsilon",  # what the U-Net predicts: "epsilon" (official), "sample" (x0) or "v_prediction"
    ) -> None:
        super().__init__()
        self.noise_process = NoiseProcess("linear", prediction_type)
        self.patch, self.image_size, self.space = patch, image_size, Space(in_channels, image_size)
        smallest = patch * 2 ** (max(len(channel_mult), len(encoder_mult)) - 1)
        if image_size % smallest:
            raise UserError(f"image_size {image_size} cannot be halved often enough: choose a multiple of {smallest} or fewer levels.")
        grid, channels = image_size // patch, in_channels * patch**2
        self.encoder = SemanticEncoder(
            channels, grid, z_channels, encoder_channels, encoder_mult, encoder_res_blocks, attention_resolutions, num_heads
        )
        self.unet = UNet(channels, channels, UNetShape.of(self.config, grid))

    def to_space(self, picture: Tensor) -> Tensor:
        """The picture itself: Diff-AE denoises pixels."""
        return picture

    def from_space(self, x: Tensor) -> Tensor:
        """The picture itself."""
        return x

    def patched(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C p^2,H/p,W/p), as the networks see it."""
        return F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x

    def unpatched(self, h: Tensor) -> Tensor:
        """The inverse of `patched`."""
        return F.pixel_shuffle(h, self.patch) if self.patch > 1 else h

    def encode(self, x0: Tensor) -> Tensor:
        """The semantic code of a (masked) crop: (B,3,H,W) in [-1, 1] -> z_sem (B,Z)."""
        return self.encoder(self.patched(x0))

    def stylespace(self, z: Tensor) -> Tensor:
        """Every U-Net ResBlock's semantic scale: (B,Z) -> (B,S) (official `encode_stylespace`)."""
        return self.unet.stylespace(z)

    def stem(self, x_t: Tensor) -> Tensor:
        """The input layer on x_t: (B,3,H,W) -> (B,C,G,G). Exp-FaceNet adds its own input layer's output to this."""
        return self.unet.stem(self.patched(x_t))

    def forward(
        self,
        x_t: Tensor,  # (B,3,H,W), the noisy picture
        t: Tensor,  # (B,), timesteps 0..999
        z: Tensor,  # (B,Z), z_sem
        control: Control | Sequence[Tensor | None] | None = None,  # Exp-FaceNet's output, or one feature (or None) per decoder block
        deep: DeepFeatures | None = None,  # reuse deep features between neighbouring steps; None: never
    ) -> Tensor:
        """The prediction (of `prediction_type`): (B,3,H,W)."""
        h = self.unet(self.stem(x_t), t, z, added=control, deep=deep)  # (B,C,G,G)
        prediction = self.unpatched(self.unet.project(h))  # (B,3,H,W)
        return mix_preview(prediction, control, x_t, t, self.noise_process)  # (B,3,H,W)
