"""Ask for an expression and read the edit again: `python scripts/asked_and_read.py FACES PEOPLE.csv docs/kept-back.txt -o docs/asked-and-read.md`,
with the photographs of docs/data.md.

Every person of the London set who is kept back, from the neutral front photo; then the expression of the next person's smiling front photo is taken
over. Read by `Reader.reread`, which knows the person. Some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor
    from discontrolface.face.parameters import FaceParameters

NEAR: Final = 0.15
SMILES: Final = ("mouthSmileLeft", "mouthSmileRight")
BLINKS: Final = ("eyeBlinkLeft", "eyeBlinkRight")
DONOR: Final = "smiling_front"


class Asked(NamedTuple):
    """name: what is set. value: to what. read: whose mean is read. other: a blendshape that should stay where it was."""

    name: str
    value: float
    read: tuple[str, ...]
    other: str | None = None


ASKED: Final = (
    Asked("smile", 0.8, SMILES),
    Asked("jawOpen", 0.6, ("jawOpen",)),
    Asked("jawOpen", 0.3, ("jawOpen",)),
    Asked("blink", 1.0, BLINKS),
    Asked("browsUp", 1.0, ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")),
    Asked("browsUp", 0.5, ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")),
    Asked("browsDown", 1.0, ("browDownLeft", "browDownRight")),
    Asked("mouthPucker", 0.9, ("mouthPucker",)),
    Asked("mouthPucker", 0.45, ("mouthPucker",)),
    Asked("winkLeft", 1.0, ("eyeBlinkLeft",), "eyeBlinkRight"),
    Asked("winkRight", 1.0, ("eyeBlinkRight",), "eyeBlinkLeft"),
)


class Row(NamedTuple):
    """A line of the table. values: of the people. others: how far the blendshape that should stay moved."""

    what: str
    wanted: list[float]
    values: list[float]
    others: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("people")
    parser.add_argument("only")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()

    from discontrolface import Editor
    from discontrolface.common.errors import UserError
    from discontrolface.common.files import replacing
    from discontrolface.evaluation.people_trials import list_evaluated

    people = {
        person.name: person.photos
        for person in list_evaluated(args.faces, args.people, args.only)
        if any(DONOR in photo.name for photo in person.photos)
    }
    if not people:
        raise UserError(
            f"{args.people} names nobody of {args.only} with a neutral front photo and one called ...{DONOR}...; the London set has them"
        )
    rows = measured(Editor.load("open"), people)
    with replacing(args.output, "the page") as file:
        file.write(page(rows, len(people)).encode())


def measured(editor: Editor, people: dict[str, tuple[Path, ...]]) -> list[Row]:
    """The rows of the table; people: name -> photos, the neutral front first."""
    rows = [Row(f"`{asked.name}` {asked.value:g}", [], [], []) for asked in ASKED]
    taken = Row("`--expression-from` a smiling stranger: `mouthSmile`", [], [], [])
    smiling = [editor.read(next(photo for photo in photos if DONOR in photo.name)).parameters for photos in people.values()]
    for index, (name, photos) in enumerate(people.items()):
        person = editor.read(photos[0])
        donor = smiling[(index + 1) % len(smiling)]
        faces = [person.parameters.edit(expression={asked.name: asked.value}) for asked in ASKED]
        results = editor.edit_many(person, [*faces, person.parameters.take_from(donor, "expression")])
        *read, last = [editor.reader.reread(person, result.image).parameters for result in results]
        for row, asked, face in zip(rows, ASKED, read, strict=True):
            row.wanted.append(asked.value)
            row.values.append(mean_of(face, asked.read))
            if asked.other is not None:
                row.others.append(abs(face.blendshape(asked.other) - person.parameters.blendshape(asked.other)))
        taken.wanted.append(mean_of(donor, SMILES))
        taken.values.append(mean_of(last, SMILES))
        print(name, flush=True)
    return [*rows, taken]


def mean_of(face: FaceParameters, names: Sequence[str]) -> float:
    return float(np.mean([face.blendshape(name) for name in names]))


def page(rows: list[Row], people: int) -> str:
    """The page as Markdown."""
    lines = [
        "# Asked and read again",
        "",
        f"Edits of {people} people who were kept out of training ([kept-back.txt](kept-back.txt)), from their neutral front photo, as `edit`",
        "gives them, and what is read of the edited photo by a reader who knows the person (`Reader.reread`).",
        "",
        f"| asked | read, mean | least | most | within {NEAR:g} | the other eye, mean | most |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        apart = np.abs(np.array(row.values) - row.wanted)
        other = f"{np.mean(row.others):.3f} | {max(row.others):.2f}" if row.others else "|"
        asked = row.what if len(set(row.wanted)) == 1 else f"{row.what}, {np.mean(row.wanted):.2f} in the mean, {apart.mean():.2f} apart"
        least, most = min(row.values), max(row.values)
        lines.append(
            f"| {asked} | {np.mean(row.values):.2f} | {least:.2f} | {most:.2f} | {int((apart <= NEAR).sum())} of {len(apart)} | {other} |"
        )
    lines += [
        "",
        "What reads low is the reading's as much as the edit's: in the brows and puckers that read lowest (full lips, beards, low brows,",
        "hair over them) the mesh warp, which moves by what was asked, reads the same ([decisions.md](decisions.md)).",
        "",
        "Made by `python scripts/asked_and_read.py FACES FACES/people.csv docs/kept-back.txt -o docs/asked-and-read.md`;",
        "FACES are the photographs of [data.md](data.md).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
