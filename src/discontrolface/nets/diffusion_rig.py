"""DiffusionRig's network: physical buffers of a face beside the noisy picture, and one global code of the photo.

Ding et al., "DiffusionRig: Learning Personalized Priors for Facial Appearance Editing", CVPR 2023 (official `DiffusionRig`, an ADM U-Net and a
torchvision ResNet-18). Normals, albedo and the Lambertian rendering lie beside x_t; the code scales and shifts the features of every ResBlock after
the time has.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.nets.backbone import Space
from discontrolface.nets.control import Control, mix_preview
from discontrolface.nets.network import Network
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.resnet import ResNet
from discontrolface.nets.unet import DeepFeatures, UNet, UNetShape

CODE = 64  # the published width of the global code
MAPS = ("normals", "lambertian", "albedo")  # what the buffers are made from, in the order of a snapshot
BUFFERS = 9  # channels
SMALL_ENCODER = 24  # width of the encoder beside the open preset's U-Net


class DiffusionRig(Network):
    """Encoder and denoising U-Net. The defaults are the official 256 px network: 144,610,179 parameters, of which the encoder 11,209,344.

    With `patch` p > 1 the U-Net sees p x p pixels as channels, as DiffAE's. With `learned_variance` the forward gives 6 channels: the prediction, and
    where between the smallest and the largest variance of a denoising step its logarithm lies (-1 to 1, Nichol & Dhariwal 2021, eq. 15).
    """

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        head: str = "flame",  # the head model that the buffers show
        image_size: int = 256,  # from here on as DiffAE's
        patch: int = 1,
        model_channels: int = 128,
        channel_mult: Sequence[float] = (1, 1, 2, 2, 4, 4),
        num_res_blocks: int = 2,
        attention_resolutions: Sequence[int] = (16,),
        num_heads: int = 1,
        embed_channels: int = 512,
        z_channels: int = CODE,  # width of the global code
        dropout: float = 0.1,
        encoder: str = "resnet18",  # or "resnet50"
        encoder_width: int = 64,  # of its stem
        learned_variance: bool = False,
        prediction_type: str = "epsilon",
    ) -> None:
        super().__init__()
        self.noise_process = NoiseProcess("linear", prediction_type)
        self.patch, self.image_size, self.space = patch, image_size, Space(3, image_size)
        self.spec = SnapshotSpec(head, MAPS)
        smallest = patch * 2 ** (len(channel_mult) - 1)
        if image_size % smallest:
            raise UserError(f"image_size {image_size} cannot be halved often enough: choose a multiple of {smallest} or fewer levels.")
        self.encoder = ResNet(encoder, z_channels, encoder_width)
        self.unet = UNet(
            (3 + BUFFERS) * patch**2,
            (6 if learned_variance else 3) * patch**2,
            UNetShape.of(self.config, image_size // patch),
            z_shift=True,
        )

    @classmethod
    def sized_as(cls, network: Mapping[str, Any], head: str) -> "DiffusionRig":
        """As large as a `DiffAE(**network)` with patches (nets/presets.py), with the published code and a narrow encoder."""
        unet = {name: value for name, value in network.items() if not name.startswith("encoder_")}
        return cls(**{**unet, "head": head, "z_channels": CODE, "encoder_width": SMALL_ENCODER})

    def encode(self, x_start: Tensor) -> Tensor:
        """The global code of the source photo, whole: (B,3,H,W) in [-1, 1] -> (B,Z) (official `encode_cond`)."""
        return self.encoder(x_start)

    def patched(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C p^2,H/p,W/p), as the U-Net sees it."""
        return F.pixel_unshuffle(x, self.patch) if self.patch > 1 else x

    def stem(self, x_t: Tensor, physical: Tensor) -> Tensor:
        """The input layer on the noisy picture (B,3,H,W) and the buffers (B,9,H,W) side by side: (B,C,G,G)."""
        return self.unet.stem(self.patched(torch.cat([x_t, physical], dim=1)))

    def forward(
        self,
        x_t: Tensor,  # (B,3,H,W), the noisy picture
        t: Tensor,  # (B,), timesteps 0..999
        physical: Tensor,  # (B,9,H,W): Lambertian, normals, albedo as DECA draws them, see `physical_buffers`
        code: Tensor | None = None,  # (B,Z), the global code
        x_start: Tensor | None = None,  # (B,3,H,W), the source photo, in place of its code
        control: Control | Sequence[Tensor | None] | None = None,  # as DiffAE's
        deep: DeepFeatures | None = None,  # reuse deep features between neighbouring steps; None: never
    ) -> Tensor:
        """The prediction (of `prediction_type`): (B,3,H,W); with `learned_variance` (B,6,H,W), the variance after it."""
        if (code is None) == (x_start is None):
            raise UserError("DiffusionRig needs code, or x_start (the photo that it is the code of), and not both.")
        z = self.encode(x_start) if code is None and x_start is not None else code
        h = self.unet.project(self.unet(self.stem(x_t, physical), t, z, added=control, deep=deep))  # (B,3 p^2,G,G)
        out = F.pixel_shuffle(h, self.patch) if self.patch > 1 else h  # (B,3,H,W)
        if control is None:
            return out
        return torch.cat([mix_preview(out[:, :3], control, x_t, t, self.noise_process), out[:, 3:]], dim=1)


def physical_buffers(snapshot: Tensor) -> Tensor:
    """What DiffusionRig sees of a face, from a snapshot of `MAPS`: (B,9,H,W) in [-1, 1] -> Lambertian, normals, albedo (B,9,H,W), the official order.

    As DECA's renderer gives them (`SRenderY`): normals in [-1, 1], colours in [0, 1], all 0 off the head.
    """
    normals, colours = snapshot[:, :3], snapshot[:, 3:]
    on_head = normals.square().sum(1, keepdim=True) > 0.25  # unit length there, also after 8 bits and mirroring
    lambertian, albedo = ((colours + 1) * 0.5 * on_head).chunk(2, dim=1)
    return torch.cat([lambertian, normals * on_head, albedo], dim=1)
