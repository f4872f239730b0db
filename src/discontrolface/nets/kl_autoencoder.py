"""AutoencoderKL: the autoencoders of latent diffusion models (Rombach et al., CVPR 2022), by diffusers, which the extra `latent` installs."""

from typing import Any

from torch import Tensor, nn

from discontrolface.common.errors import UserError


def diffusers_class() -> Any:
    """diffusers' own class. UserError without the extra."""
    try:
        from diffusers import AutoencoderKL as Theirs
    except ImportError as error:
        raise UserError(
            f"an AutoencoderKL is read by diffusers ({error}); install it with: pip install 'discontrolface[latent]', "
            "or take an AutoencoderTiny, which needs nothing more"
        ) from error
    return Theirs


class AutoencoderKL(nn.Module):
    """diffusers' class of this name; `encode` gives the posterior's mean. Arguments are its own, as its config.json has them."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.net: Any = diffusers_class()(**config)
        self.config = {"_class_name": type(self).__name__, **{k: v for k, v in self.net.config.items() if not k.startswith("_")}}
        self.latent_channels = int(self.net.config.latent_channels)
        self.stride = 2 ** (len(self.net.config.block_out_channels) - 1)

    @classmethod
    def from_pretrained(cls, folder: str) -> "AutoencoderKL":
        """Of a folder that diffusers wrote. OSError and ValueError where it cannot be read."""
        theirs = diffusers_class().from_pretrained(folder, local_files_only=True)
        network = cls(**{k: v for k, v in theirs.config.items() if not k.startswith("_")})
        network.net.load_state_dict(theirs.state_dict())
        return network.eval()

    def encode(self, picture: Tensor) -> Tensor:
        """(B,3,H,W) in [-1, 1] -> (B,C,H/stride,W/stride)."""
        return self.net.encode(picture).latent_dist.mean

    def decode(self, latents: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,3,h stride,w stride) in about [-1, 1]."""
        return self.net.decode(latents).sample

    def forward(self, picture: Tensor) -> Tensor:
        """A picture as the latents hold it: (B,3,H,W) -> (B,3,H,W)."""
        return self.decode(self.encode(picture))
