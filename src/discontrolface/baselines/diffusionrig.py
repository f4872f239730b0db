"""DiffusionRig's network with the buffers of the faces to be made: a backbone, and its two samplers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from discontrolface.diffusion.ancestral import sample_ancestral
from discontrolface.diffusion.sampling import sample
from discontrolface.nets.backbone import Space
from discontrolface.nets.control import Control
from discontrolface.nets.diffusion_rig import DiffusionRig
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.unet import DeepFeatures, UNet


@dataclass(frozen=True)
class Posed:
    """DiffusionRig with the buffers of the faces to be made: a `Backbone`, which `diffusion_loss` and `sample` take."""

    network: DiffusionRig
    physical: Tensor  # (B,9,H,W)
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
        return self.network.stem(x_t, self.physical)

    def __call__(
        self,
        x_t: Tensor,
        t: Tensor,
        z: Tensor,
        control: Control | Sequence[Tensor | None] | None = None,
        deep: DeepFeatures | None = None,
    ) -> Tensor:
        """The prediction for these buffers: (B,3,H,W)."""
        return self.network(x_t, t, self.physical, code=z, control=control, deep=deep)[:, :3]


@torch.no_grad()
def sample_rig(network: DiffusionRig, source: Tensor, physical: Tensor, noise: Tensor, steps: int = 20) -> Tensor:
    """The edit by DDIM: from noise (B,3,H,W), the source's code and the target's buffers -> (B,3,H,W) in about [-1, 1]."""
    return sample(Posed(network, physical), noise, network.encode(source), steps=steps)


@torch.no_grad()
def sample_rig_ancestral(
    network: DiffusionRig,
    source: Tensor,  # (B,3,H,W) in [-1, 1]
    physical: Tensor,  # (B,9,H,W)
    noise: Tensor,  # (B,3,H,W)
    steps: int = 20,
    generator: torch.Generator | None = None,  # of the noise that every step adds
) -> Tensor:
    """The edit by DDPM, with the network's own variances where it has learned them: (B,3,H,W) in about [-1, 1]."""
    code = network.encode(source)

    def predict(x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
        out = network(x_t, t, physical, code=code)
        return out[:, :3], out[:, 3:] if out.shape[1] > 3 else None

    return sample_ancestral(predict, noise, steps, network.noise_process, generator)
