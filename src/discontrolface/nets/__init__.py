"""The networks: only modules, no diffusion, no files. Names load on first use, so that importing the package stays light."""

from typing import TYPE_CHECKING

from discontrolface.common.lazy import lazy_names

if TYPE_CHECKING:
    from discontrolface.nets.control import Control as Control
    from discontrolface.nets.diffae import DiffAE as DiffAE
    from discontrolface.nets.exp_facenet import ExpFaceNet as ExpFaceNet
    from discontrolface.nets.latent import MLPSkipNet as MLPSkipNet
    from discontrolface.nets.unet import DeepFeatures as DeepFeatures

__getattr__ = lazy_names(
    __name__,
    {
        "Control": "control",
        "DeepFeatures": "unet",
        "DiffAE": "diffae",
        "ExpFaceNet": "exp_facenet",
        "MLPSkipNet": "latent",
    },
)
