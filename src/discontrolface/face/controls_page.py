"""docs/controls.md, made from the table of controls: python -m discontrolface.face.controls_page docs/controls.md"""

from __future__ import annotations

import sys
from pathlib import Path

from discontrolface.common.text_files import write_text
from discontrolface.face.control_table import Coefficients, Control, ControlTable, Stage
from discontrolface.face.controls import BUILT_IN

COLUMNS = ("| name | given by | range | heads | on screen | what it does |", "|---|---|---|---|---|---|")

HEADER = """# Controls

Every slider of a face: {count} by name, and as many by number as a head model has coefficients. Made from `face/controls.py` by
`python -m discontrolface.face.controls_page docs/controls.md`; a test says whether it is up to date.

A control has one name everywhere:

| | one value | several | by name |
|---|---|---|---|
| command line | `--yaw 15` | `--gaze 10,-5` | `--expression smile=0.8,jawOpen=0.2` |
| Python | `edit(yaw=15)` | `edit(gaze=(10, -5))` | `edit(expression={{"smile": 0.8, "jawOpen": 0.2}})` |
| a parameter file | `"yaw": 15` | `"gaze": [10, -5]` | `"expression": {{"smile": 0.8, "jawOpen": 0.2}}` |

`edit(controls={{"yaw": 15, "gaze_yaw": 10, "smile": 0.8, "shape.3": -1}})` takes any of them by the names below, one number each: what a
slider needs. Values are absolute (15 is where the head ends, not how far it goes), but for those that say *adds*. Left and right are the person's
own in names of blendshapes, and the picture's for head, gaze and light. What acts on much is applied first, so that `smile=1,mouthSmileLeft=0.2`
keeps the 0.2. A blendshape's 1 is about a 1 of MediaPipe's blendshape network: what is asked is what is seen, and read.
A measurement of the shape (`jawWidth`, `noseLength`, ...) moves alone, the others in the list stay; 0 is the head model's mean face.
"""

OWN = """## A control of your own

One row more, before the first edit; options, keywords, files, differences and readings know it then:

```python
from discontrolface.face import CONTROLS, Control

CONTROLS.register(
    Control(
        name="nod",
        group="head",
        label="Nod",
        help="The chin goes down.",
        range=(-45, 45),
        unit="degrees",
        apply=lambda state, value: state.set_head("pitch", -value),
        read=lambda face: -face.pitch,
    )
)
target = person.parameters.edit(controls={"nod": 10})  # --nod 10
```

`combination` and `shape_direction` in `face/control_kinds.py` make rows that set several blendshapes or shape coefficients. To have it on the command
line, run that file and end it with `from discontrolface.cli.app import main; main()`.
"""


OTHER_FACE = (
    "`PHOTO#2` is face 2 of that photo, as `read --faces` numbers them; without it `--from-face N` counts, which is 0, the largest."
)


def controls_page(table: ControlTable = BUILT_IN) -> str:
    """The page as Markdown: one table a group."""
    count = sum(isinstance(row, Control) for row in table.rows)
    sections = [HEADER.format(count=count)]
    for group in table.groups:
        rows = [row for row in table.rows if row.group == group]
        if not rows:
            continue
        lines = [
            f"## {group[:1].upper()}{group[1:]}",
            "",
            "| name | given by | range | heads | on screen | what it does |",
            "|---|---|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(_cells(row, table))} |" for row in rows]
        sections.append("\n".join(lines) + "\n")
    parts = [f"- `--{part.name}-from PHOTO[#N]`: {part.option_help}" for part in table.parts if part.option_help]
    names = ", ".join(f"`{part.name}`" for part in table.parts)
    taken = f"`take_from(other, part, ...)` takes {names} of another face. On the command line:"
    sections.append("\n".join(["## From another photo", "", taken, "", *parts, "", OTHER_FACE]) + "\n")
    return "\n".join([*sections, OWN])


def _cells(row: Control | Coefficients, table: ControlTable) -> tuple[str, ...]:
    """name, given by, range, heads, on screen, what it does"""
    argument = next(a for a in table.arguments if a.name == (row.argument or row.name))  # type: ignore[union-attr]
    if isinstance(row, Coefficients):
        limits = f"{row.range[0]:g} to {row.range[1]:g} {row.unit}".strip()
        return (
            row.example,
            f"`{argument.option} {row.example.split(',')[0].strip('`')}=`",
            limits,
            row.heads,
            row.label.format(name="N"),
            row.help,
        )
    given = f"`{argument.option} {argument.metavar}`" if argument.form in ("vector", "choice") else f"`{argument.option}`"
    given = f"`{argument.option} {row.name}=`" if argument.form == "mapping" else given
    needs = "named blendshapes" if row.blendshapes else "with landmarks there" if row.measures else "all"
    heads = ", ".join(row.heads) or needs
    sets = "" if row.stage != Stage.COMBINATION or not row.blendshapes else f" Sets {', '.join(row.blendshapes)}."
    return f"`{row.name}`", given, row.limits or "on or off", heads, row.label, row.help + sets


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), controls_page(), overwrite=True, ending=".md")
