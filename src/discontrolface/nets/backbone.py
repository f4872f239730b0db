"""What a backbone is: what editing, the loss and Exp-FaceNet need of a denoiser, and the table of those that there are.

Diff-AE is one (nets/diffae.py), a latent Diff-AE another, DiffusionRig's network with the buffers of a face a third. To add one, write a class
with these members that is a `Network` (nets/network.py: saved and loaded as a folder), and give it a line in BACKBONES, or decorate it with
`register_backbone` where it lies outside this package. A preset, a training and an edit then find it by the `_class_name` in its config.json.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.nets.control import Control
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.unet import DeepFeatures, UNet


class Space(NamedTuple):
    """What a backbone denoises: tensors (B, channels, size, size)."""

    channels: int
    size: int


class Backbone(Protocol):
    """A denoiser beside which Exp-FaceNet can stand. x_t and the predictions lie in its own space; pictures are (B,3,H,W) in [-1, 1].

    Fully convolutional in pictures: training also shows it squares that are cut from them.
    """

    @property
    def image_size(self) -> int:
        """Height and width of a picture in pixels."""

    @property
    def space(self) -> Space:
        """What is denoised; its size divides `image_size`."""

    @property
    def noise_process(self) -> NoiseProcess:
        """The noise in that space, and what a prediction means."""

    @property
    def clips_x0(self) -> bool:
        """Whether x0 lies in [-1, 1], so that sampling clips every prediction of it."""

    @property
    def unet(self) -> UNet:
        """The denoising network. Exp-FaceNet starts as its copy; its decoder blocks are the tap points, `unet.up_channels` wide."""

    def encode(self, x0: Tensor) -> Tensor:
        """The semantic code of a (masked) picture: (B,3,H,W) -> z_sem (B,Z)."""

    def to_space(self, picture: Tensor) -> Tensor:
        """A picture (B,3,H,W) in the space (B,C,h,w)."""

    def from_space(self, x: Tensor) -> Tensor:
        """The inverse of `to_space`, as nearly as there is one."""

    def stem(self, x_t: Tensor) -> Tensor:
        """The input layer on x_t: (B,C,h,w) -> (B,W,G,G). Exp-FaceNet adds its own input layer's output to this."""

    def __call__(
        self,
        x_t: Tensor,  # (B,C,h,w)
        t: Tensor,  # (B,), timesteps 0..999
        z: Tensor,  # (B,Z)
        control: Control | Sequence[Tensor | None] | None = None,  # one feature (or None) per decoder block; `mix_preview` applies the rest
        deep: DeepFeatures | None = None,  # reuse deep features between neighbouring steps; None: never
    ) -> Tensor:
        """The prediction, of `noise_process.prediction_type`: (B,C,h,w)."""


BACKBONES: dict[str, str] = {  # class name -> module
    "DiffAE": "discontrolface.nets.diffae",
    "LatentDiffAE": "discontrolface.nets.latent_diffae",
}

T = TypeVar("T", bound=Callable[..., Backbone])


def register_backbone(kind: T) -> T:
    """Class decorator: make a backbone known by its class name."""
    BACKBONES[kind.__name__] = kind.__module__
    return kind


def backbone_class(name: str) -> Any:
    """The class of that name. UserError that lists the known ones."""
    if name not in BACKBONES:
        raise UserError(f"backbone {name!r} is not known; choose one of {', '.join(BACKBONES)}.")
    return getattr(import_module(BACKBONES[name]), name)


def make_backbone(config: dict[str, Any]) -> Any:
    """A backbone with new weights: its constructor's arguments and, unless it is a DiffAE, `_class_name`."""
    return backbone_class(config.get("_class_name", "DiffAE"))(**{k: v for k, v in config.items() if k != "_class_name"})
