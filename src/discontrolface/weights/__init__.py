"""Weights: others' checkpoints in, our own assets. Names load on first use, so that importing the package stays light."""

from typing import TYPE_CHECKING

from discontrolface.common.lazy import lazy_names

if TYPE_CHECKING:
    from discontrolface.weights.official import import_attributes as import_attributes
    from discontrolface.weights.official import import_diffae as import_diffae
    from discontrolface.weights.official import import_latent as import_latent

__getattr__ = lazy_names(__name__, {"import_attributes": "official", "import_diffae": "official", "import_latent": "official"})
