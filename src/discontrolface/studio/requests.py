"""The bodies of the API's requests, checked: unknown fields, wrong types and endless lists are refused with one sentence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from discontrolface.diffusion.settings import SamplingChoices
from discontrolface.studio.work import Choices, SweepOf

MAX_CONTROLS = 400
Values = Annotated[dict[str, Any], Field(max_length=MAX_CONTROLS)]
Direction = tuple[float, float, float]


class Body(BaseModel):
    """Nothing but the fields that are named."""

    model_config = ConfigDict(extra="forbid")


class Face(Body):
    """A face by its number, 0 is the largest."""

    face: int


class Edit(Body):
    """Controls by their keys, or the lamp's direction (x right, y up, z towards the camera)."""

    controls: Values = {}
    light: Direction | None = None


class View(Edit):
    """What is to be shown of it, at once."""

    layer: Literal["picture", "mesh", "normals"] = "picture"
    size: int = 512


class Look(Body):
    """A ready-made look."""

    name: str


class Copy(Body):
    """Parts of a face of the other photo."""

    parts: Annotated[list[str], Field(max_length=10)]
    face: int = 0


class SamplingBody(Body):
    """How the networks work; what is left out is the preset's."""

    steps: int | None = None
    solver: str | None = None
    start: str | None = None
    strength: float | None = None
    temperature: float | None = None
    masking: str | None = None
    resolution: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class SweepBody(Body):
    """One control from a value to another."""

    control: str
    start: float
    end: float
    frames: int = 9
    network: bool = False


class JobBody(Body):
    """A piece of work for the queue."""

    kind: Literal["network", "render", "personalize", "sweep"]
    sampling: SamplingBody = SamplingBody()
    sweep: SweepBody | None = None
    iterations: int | None = None  # of a fine-tuning; None: the preset's

    def choices(self) -> Choices:
        """As the work takes them."""
        given = {name: value for name, value in self.sampling.model_dump().items() if value is not None}
        return Choices(SamplingChoices(**given))  # type: ignore[typeddict-item]

    def sweep_of(self) -> SweepOf | None:
        """As the work takes it."""
        return None if self.sweep is None else SweepOf(**self.sweep.model_dump())
