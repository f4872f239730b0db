"""Weights: others' checkpoints in, our own assets. Names load on first use, so that importing the package stays light."""

from typing import TYPE_CHECKING

from discontrolface.common.lazy import lazy_names

if TYPE_CHECKING:
    from discontrolface.weights.diffusionrig import import_diffusionrig as import_diffusionrig
    from discontrolface.weights.gif import import_gif as import_gif
    from discontrolface.weights.headnerf import import_headnerf as import_headnerf
    from discontrolface.weights.official import import_attributes as import_attributes
    from discontrolface.weights.official import import_diffae as import_diffae
    from discontrolface.weights.official import import_latent as import_latent

__getattr__ = lazy_names(
    __name__,
    {
        "import_attributes": "official",
        "import_diffae": "official",
        "import_diffusionrig": "diffusionrig",
        "import_gif": "gif",
        "import_headnerf": "headnerf",
        "import_latent": "official",
    },
)
