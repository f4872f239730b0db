"""DiffusionRig's design as a baseline: the renderings of the 3D face beside the noisy picture, one global code of the photo, nothing frozen.

Ding et al., "DiffusionRig: Learning Personalized Priors for Facial Appearance Editing", CVPR 2023. Written from the paper and what its
official code does, with the parts that our own networks are made of. As published: normals, albedo and Lambertian rendering (9 channels)
concatenated to x_t; a code of 64 numbers, which scales and shifts the features of every ResBlock after the time has; encoder and U-Net
trained together from the beginning. As in the open preset, so that the two compare: 256 px in 4x4 patches, widths and depths, x0 as what is
predicted, and Diff-AE's small encoder in the place of ResNet-18.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import SnapshotSpec, check_maps
from discontrolface.diffusion.sampling import sample
from discontrolface.nets.backbone import Space
from discontrolface.nets.control import Control, mix_preview
from discontrolface.nets.encoder import SemanticEncoder
from discontrolface.nets.network import Network
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.unet import DeepFeatures, UNet, UNetShape

BUFFERS = ("normals", "lambertian", "albedo")  # the published physical buffers, in the order of a snapshot
SPEC = SnapshotSpec("open", BUFFERS)
CODE = 64  # the published width of the global code


class DiffusionRigBaseline(Network):
    """Encoder and denoising U-Net. The defaults are the open preset's size: 7,680,912 parameters, 7.0 GFLOP a denoising step."""

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        head: str = "open",  # the head model that the buffers show
        buffer_maps: Sequence[str] = BUFFERS,  # the maps of a snapshot, in the order of common/snapshot_spec.py
        image_size: int = 256,  # from here on as DiffAE's
        patch: int = 4,
        model_channels: int = 64,
        channel_mult: Sequence[int] = (1, 1, 2, 2),
        num_res_blocks: int = 1,
        attention_resolutions: Sequence[int] = (16,),
        num_heads: int = 4,
        embed_channels: int = 256,
        z_channels: int = CODE,
        dropout: float = 0.0,
        encoder_channels: int = 32,
        encoder_mult: Sequence[int] = (1, 2, 4, 4, 4),
        encoder_res_blocks: int = 1,
        prediction_type: str = "sample",
    ) -> None:
        super().__init__()
        self.noise_process = NoiseProcess("linear", prediction_type)
        self.patch, self.image_size, self.space = patch, image_size, Space(3, image_size)
        self.spec = SnapshotSpec(head, check_maps(buffer_maps))
        smallest = patch * 2 ** (max(len(channel_mult), len(encoder_mult)) - 1)
        if image_size % smallest:
            raise UserError(f"image_size {image_size} cannot be halved often enough: choose a multiple of {smallest} or fewer levels.")
        grid, picture = image_size // patch, 3 * patch**2
        self.encoder = SemanticEncoder(
            picture, grid, z_channels, encoder_channels, encoder_mult, encoder_res_blocks, attention_resolutions, num_heads
        )
        shape = UNetShape(
            grid=grid,
            channels=model_channels,
            mult=tuple(channel_mult),
            res_blocks=num_res_blocks,
            attention_resolutions=tuple(attention_resolutions),
            heads=num_heads,
            embed_channels=embed_channels,
            z_channels=z_channels,
            dropout=dropout,
        )
        self.unet = UNet(picture + self.spec.channels * patch**2, picture, shape, z_shift=True)

    @classmethod
    def sized_as(cls, network: Mapping[str, Any], spec: SnapshotSpec = SPEC) -> "DiffusionRigBaseline":
        """As large as a `DiffAE(**network)` (nets/presets.py), with the published code."""
        return cls(**{**network, "head": spec.head, "buffer_maps": spec.maps, "z_channels": CODE})

    def encode(self, photo: Tensor) -> Tensor:
        """The global code of the source photo, whole: (B,3,H,W) in [-1, 1] -> (B,Z)."""
        return self.encoder(self.patched(photo))

    def patched(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C p^2,H/p,W/p), as the networks see it."""
        return F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x

    def stem(self, x_t: Tensor, buffers: Tensor) -> Tensor:
        """The input layer on the noisy picture (B,3,H,W) and the buffers (B,S,H,W) side by side: (B,C,G,G)."""
        return self.unet.stem(self.patched(torch.cat([x_t, buffers], dim=1)))

    def forward(
        self,
        x_t: Tensor,  # (B,3,H,W), the noisy picture
        t: Tensor,  # (B,), timesteps 0..999
        z: Tensor,  # (B,Z), the global code
        buffers: Tensor,  # (B,S,H,W), the target's maps of `spec` side by side, as a snapshot holds them
        control: Control | Sequence[Tensor | None] | None = None,  # as DiffAE's
        deep: DeepFeatures | None = None,  # reuse deep features between neighbouring steps; None: never
    ) -> Tensor:
        """The prediction (of `prediction_type`): (B,3,H,W)."""
        h = self.unet.project(self.unet(self.stem(x_t, buffers), t, z, added=control, deep=deep))  # (B,3 p^2,G,G)
        prediction = F.pixel_shuffle(h, self.patch) if self.patch > 1 else h  # (B,3,H,W)
        return mix_preview(prediction, control, x_t, t, self.noise_process)


@dataclass(frozen=True)
class Posed:
    """The baseline with the buffers of the faces to be made: a `Backbone`, which `diffusion_loss` and `sample` take."""

    network: DiffusionRigBaseline
    buffers: Tensor  # (B,S,H,W)
    clips_x0: bool = True

    @property
    def unet(self) -> UNet:
        """The denoising U-Net."""
        return self.network.unet

    @property
    def image_size(self) -> int:
        """Pixels."""
        return self.network.image_size

    @property
    def space(self) -> Space:
        """Pictures."""
        return self.network.space

    @property
    def noise_process(self) -> NoiseProcess:
        """What the U-Net predicts."""
        return self.network.noise_process

    def encode(self, x0: Tensor) -> Tensor:
        """(B,3,H,W) -> the code (B,Z)."""
        return self.network.encode(x0)

    def to_space(self, picture: Tensor) -> Tensor:
        """The picture itself."""
        return picture

    def from_space(self, x: Tensor) -> Tensor:
        """The picture itself."""
        return x

    def stem(self, x_t: Tensor) -> Tensor:
        """The input layer on x_t and these buffers."""
        return self.network.stem(x_t, self.buffers)

    def __call__(
        self,
        x_t: Tensor,
        t: Tensor,
        z: Tensor,
        control: Control | Sequence[Tensor | None] | None = None,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        """The prediction for these buffers: (B,3,H,W)."""
        return self.network(x_t, t, z, self.buffers, control=control, deep=deep)


def sample_rig(network: DiffusionRigBaseline, source: Tensor, buffers: Tensor, noise: Tensor, steps: int) -> Tensor:
    """The edit: from noise (B,3,H,W), with the code of the source (B,3,H,W) and the buffers (B,S,H,W) of the target -> (B,3,H,W) in about [-1, 1]."""
    return sample(Posed(network, buffers), noise, network.encode(source), steps=steps)
