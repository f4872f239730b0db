"""The networks: only modules, no diffusion, no files. Names load on first use, so that importing the package stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discontrolface.nets.control import Control as Control
    from discontrolface.nets.diffae import DiffAE as DiffAE
    from discontrolface.nets.exp_facenet import ExpFaceNet as ExpFaceNet
    from discontrolface.nets.latent import MLPSkipNet as MLPSkipNet
    from discontrolface.nets.unet import DeepFeatures as DeepFeatures

_HOME = {
    "Control": "control",
    "DeepFeatures": "unet",
    "DiffAE": "diffae",
    "ExpFaceNet": "exp_facenet",
    "MLPSkipNet": "latent",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
