"""The table of controls as a page shows it: one row a slider or choice, JSON-ready."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from discontrolface.face.control_table import DEGREES, Control, Stage

if TYPE_CHECKING:
    from discontrolface.face.parameters import FaceParameters

STEP_DEGREES: Final = 0.5
STEP_SHARE: Final = 0.01
STEP_DEVIATIONS: Final = 0.05


@dataclass(frozen=True)
class Row:
    """One control. key: as `FaceParameters.edit(controls={key: value})` takes it. adds: it changes what is there, and stands at 0 again then."""

    key: str
    name: str
    label: str
    help: str
    group: str
    kind: str  # "number" or "choice"
    low: float
    high: float
    step: float
    unit: str
    choices: tuple[str, ...]
    adds: bool
    also: tuple[str, ...] = ()  # short names of the same control, for the search

    def json(self) -> dict[str, Any]:
        """As the page gets it."""
        return asdict(self)


def control_rows(face: FaceParameters) -> list[Row]:
    """The rows of this face's head model, group by group.

    Left out: switches (the page has buttons), short names of one blendshape (they are found by the search), and changes of an angle that has a
    slider of its own.
    """
    rows: dict[str, Row] = {}
    aliases: dict[str, list[str]] = {}
    for control in face.controls.controls:
        if control.kind == "switch" or (control.stage == Stage.CHANGE and control.excludes):
            continue
        if control.stage == Stage.COMBINATION and len(control.blendshapes) == 1:
            aliases.setdefault(control.blendshapes[0], []).append(control.name)
        else:
            rows[control.key] = _row(control)
    groups = face.controls.table.groups
    named = [replace(row, also=tuple(aliases.get(row.name, ()))) for row in rows.values()]
    return sorted(named, key=lambda row: groups.index(row.group))


def control_values(face: FaceParameters) -> dict[str, float]:
    """{key: value} of every row that a face shows."""
    return {control.key: round(control.read(face), 4) for control in face.controls.controls if control.read is not None}


def _row(control: Control) -> Row:
    step = STEP_DEGREES if control.unit == DEGREES else STEP_DEVIATIONS if control.unit else STEP_SHARE
    return Row(
        key=control.key,
        name=control.name,
        label=control.label,
        help=control.help,
        group=control.group,
        kind=control.kind,
        low=control.range[0],
        high=control.range[1],
        step=step,
        unit=control.unit,
        choices=control.choices,
        adds=control.stage == Stage.CHANGE,
    )
