"""How an edit is denoised: one frozen set of choices, for editing, evaluation, ablations, the studio and the record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypedDict

from discontrolface.common.errors import UserError
from discontrolface.diffusion.masking import PATCH, masking_schedule
from discontrolface.diffusion.sampling import SOLVERS
from discontrolface.diffusion.schedule import denoising_timesteps

# noise: x_T ~ N(0, I), the paper. draft: the noised preview. predicted: one prediction from noise (of the photo and of its mirror image, the mean),
# noised again, the last steps from there.
# inverted: the photo's own x_T.
STARTS: Final = ("noise", "draft", "predicted", "inverted")
FROM_PICTURE: Final = ("draft", "predicted")  # starts that take only a share of the steps
REGIONS: Final = ("crop", "face")
INVERSIONS: Final = ("auto", "backbone", "control")
RESOLUTIONS: Final = ("256", "512", "1024", "photo")


class SamplingChoices(TypedDict, total=False):
    """The choices that `Editor.edit` takes by name, see `Sampling`; None: the preset's."""

    steps: int | None
    solver: str | None
    start: str | None
    strength: float | None
    temperature: float | None
    masking: str | float | tuple[float, ...] | list[float] | None
    resolution: str | int | None
    seed: int | None


@dataclass(frozen=True)
class Sampling:
    """The defaults are the paper's (DisControlFace, Section 3.5 and supplement). UserError for a value that is not known or out of range."""

    steps: int = 20  # denoising steps, 1 to 1000
    solver: str = "ddim"  # or "dpm++"
    start: str = "noise"  # one of STARTS
    strength: float = 0.3  # of the starts FROM_PICTURE: how much noise the picture gets, and the share of the steps that is taken
    temperature: float = 1.0  # of the starts from noise: standard deviation of x_T; 1 is the paper's, less is closer to the mean
    masking: str | float | tuple[float, ...] = "linear"  # what the encoder may not see: see `masking_schedule`
    mask_patch: int = PATCH  # pixels of a masked patch
    mask_region: str = "crop"  # "face": only patches that touch the face are masked
    inversion: str = (
        "auto"  # of start "inverted": by the "backbone" alone (the paper), under the photo's own "control", or what the network needs
    )
    resolution: str | int = (
        "photo"  # pixels of the square that goes back into the photo, or as many as the photo has there (256 to 1024); a text when checked
    )
    seed: int = 0  # of noise and masks

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolution", str(self.resolution))
        known = (("start", STARTS), ("solver", SOLVERS), ("mask_region", REGIONS), ("inversion", INVERSIONS), ("resolution", RESOLUTIONS))
        for name, names in known:
            if getattr(self, name) not in names:
                raise UserError(f"{name} {getattr(self, name)!r} is not known; choose one of {', '.join(names)}")
        if not 0 < self.temperature <= 1:
            raise UserError(f"temperature {self.temperature} must lie above 0 and not above 1 (the paper's)")
        if not isinstance(self.masking, str | int | float):
            object.__setattr__(self, "masking", tuple(float(ratio) for ratio in self.masking))
        masking_schedule(self.masking, self.predictions)

    @property
    def fine_size(self) -> int | None:
        """`resolution` in pixels; None: as many as the photo has there."""
        return None if self.resolution == "photo" else int(self.resolution)

    @property
    def refinement(self) -> int:
        """Steps that are taken from a picture (a draft or a prediction)."""
        return len(denoising_timesteps(self.steps, self.strength))

    @property
    def predictions(self) -> int:
        """How often the networks are asked: the length of the masking schedule."""
        if self.start == "draft":
            return self.refinement
        return 1 + self.refinement if self.start == "predicted" else len(denoising_timesteps(self.steps))

    def with_choices(self, choices: SamplingChoices) -> Sampling:
        """With what a user chose; None keeps. UserError for a choice that the start does not use."""
        given = {name: value for name, value in choices.items() if value is not None}
        chosen = replace(self, **given)  # type: ignore[arg-type]  # checked in __post_init__
        if "strength" in given and chosen.start not in FROM_PICTURE:
            raise UserError(f"strength {chosen.strength} belongs to start 'draft' or 'predicted', not to {chosen.start!r}; leave it out")
        if "temperature" in given and chosen.start not in ("noise", "predicted"):
            raise UserError(
                f"temperature {chosen.temperature} belongs to start 'noise' or 'predicted', not to {chosen.start!r}; leave it out"
            )
        return chosen

    def record(self) -> dict[str, Any]:
        """What was used, JSON-ready, for the provenance of a picture."""
        used = asdict(self)
        if self.start not in FROM_PICTURE:
            used["strength"] = 1.0
        if self.start == "draft":
            used["temperature"] = 1.0
        if self.start != "inverted":
            used.pop("inversion")
        return used
