"""What an autoencoder is to a backbone that denoises latents, and the table of those that there are.

Autoencoder latents are small pictures of many channels. (The codes of Diff-AE's encoder, z_sem, have a latent DPM of their own, nets/latent.py:
another thing.) Ours is nets/face_autoencoder.py; folders of diffusers' AutoencoderTiny and AutoencoderKL are read too.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from torch import Tensor

from discontrolface.common.errors import UserError


class Autoencoder(Protocol):
    """Pictures (B,3,H,W) in [-1, 1], H and W multiples of `stride`, to latents (B,latent_channels,H/stride,W/stride) of any range, and back."""

    @property
    def latent_channels(self) -> int:
        """Channels of the latents."""

    @property
    def stride(self) -> int:
        """Pixels in one latent, a side."""

    def encode(self, picture: Tensor) -> Tensor:
        """The latents of a picture, without randomness."""

    def decode(self, latents: Tensor) -> Tensor:
        """The picture of latents, in about [-1, 1]."""


AUTOENCODERS: dict[str, str] = {  # class name -> module
    "FaceAutoencoder": "discontrolface.nets.face_autoencoder",
    "AutoencoderTiny": "discontrolface.nets.tiny_autoencoder",
    "AutoencoderKL": "discontrolface.nets.kl_autoencoder",
}


def autoencoder_class(name: str) -> Any:
    """The class of that name. UserError that lists the known ones."""
    if name not in AUTOENCODERS:
        raise UserError(f"autoencoder {name!r} is not known; choose one of {', '.join(AUTOENCODERS)}")
    return getattr(import_module(AUTOENCODERS[name]), name)


def make_autoencoder(config: Mapping[str, Any]) -> Any:
    """An autoencoder with new weights: its constructor's arguments and, unless it is a FaceAutoencoder, `_class_name`. Other names with an underscore
    are remarks."""
    arguments = {name: value for name, value in config.items() if not name.startswith("_")}
    return autoencoder_class(config.get("_class_name", "FaceAutoencoder"))(**arguments)
