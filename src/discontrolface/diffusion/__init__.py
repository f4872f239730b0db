"""Diffusion: masking, sampling, inversion, loss. Names load on first use, so that importing the package stays light."""

from typing import TYPE_CHECKING

from discontrolface.common.lazy import lazy_names

if TYPE_CHECKING:
    from discontrolface.diffusion.condition import EditCondition as EditCondition
    from discontrolface.diffusion.inversion import invert as invert
    from discontrolface.diffusion.loss import diffusion_loss as diffusion_loss
    from discontrolface.diffusion.masking import apply_mask as apply_mask
    from discontrolface.diffusion.masking import masking_schedule as masking_schedule
    from discontrolface.diffusion.masking import random_patch_mask as random_patch_mask
    from discontrolface.diffusion.sampling import sample as sample
    from discontrolface.diffusion.schedule import denoising_timesteps as denoising_timesteps

__getattr__ = lazy_names(
    __name__,
    {
        "EditCondition": "condition",
        "apply_mask": "masking",
        "denoising_timesteps": "schedule",
        "diffusion_loss": "loss",
        "invert": "inversion",
        "masking_schedule": "masking",
        "random_patch_mask": "masking",
        "sample": "sampling",
    },
)
