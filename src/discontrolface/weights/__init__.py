"""Weights: others' checkpoints in, our own assets. Names load on first use, so that importing the package stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discontrolface.weights.official import import_attributes as import_attributes
    from discontrolface.weights.official import import_diffae as import_diffae
    from discontrolface.weights.official import import_latent as import_latent

_HOME = {"import_attributes": "official", "import_diffae": "official", "import_latent": "official"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
