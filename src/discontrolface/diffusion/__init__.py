"""Diffusion: masking, sampling, inversion, loss. Names load on first use, so that importing the package stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discontrolface.diffusion.condition import EditCondition as EditCondition
    from discontrolface.diffusion.inversion import invert as invert
    from discontrolface.diffusion.loss import diffusion_loss as diffusion_loss
    from discontrolface.diffusion.masking import apply_mask as apply_mask
    from discontrolface.diffusion.masking import masking_schedule as masking_schedule
    from discontrolface.diffusion.masking import random_patch_mask as random_patch_mask
    from discontrolface.diffusion.sampling import sample as sample
    from discontrolface.diffusion.schedule import denoising_timesteps as denoising_timesteps

_HOME = {
    "EditCondition": "condition",
    "apply_mask": "masking",
    "denoising_timesteps": "schedule",
    "diffusion_loss": "loss",
    "invert": "inversion",
    "masking_schedule": "masking",
    "random_patch_mask": "masking",
    "sample": "sampling",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
