"""Pictures of methods that do not run here: inputs go out as files, pictures come back beside them.

INPUTS/index.json         format, kind, size, and the list of edits: name, kinds, the change in a user's units
INPUTS/NAME/source.png    the crop before the edit
INPUTS/NAME/source.json   its face parameters; target.json: those that are asked for
INPUTS/NAME/guide.json    what methods with other head models can use: angles in degrees, light, the 68 iBUG landmarks before and after, in pixels
INPUTS/NAME/head.png      normals and Lambertian rendering of the head that is asked for, side by side

OUTPUTS/NAME.png (or .jpg) the method's picture: square; another size than the source's is resampled. docs/evaluation.md says more.
The true results are not among the inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.images import encode_picture, load_photo
from discontrolface.common.pixels import to_uint8
from discontrolface.editing.method import method_table
from discontrolface.evaluation.trials import Bench, Trial, Trials
from discontrolface.face.geometry import Geometry
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.parameters import FaceParameters

FORMAT, VERSION = "discontrolface.evaluation-inputs", 1
ENDINGS = (".png", ".jpg", ".jpeg")


def write_inputs(trials: Trials, bench: Bench, folder: Path, progress: Callable[[int, int], None]) -> int:
    """Write the inputs of all edits; what is there already is not written again. Returns the number of edits.

    UserError when the folder holds the inputs of other edits, or cannot be written.
    """
    about = {
        "format": FORMAT,
        "version": VERSION,
        "kind": trials.kind,
        "edits_of": trials.identity(),
        "size": bench.size,
        "head": bench.geometry.head.name,
    }
    index = folder / "index.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if index.is_file():
            check_index(index, about)
        elif any(folder.iterdir()):
            raise UserError(f"{folder} holds other files; give a new folder for the inputs")
        else:
            write_atomically(index, json.dumps({**about, "edits": []}).encode())  # the folder is taken
        edits: list[dict[str, Any]] = []
        batches = trials.batches()
        for done, numbers in enumerate(batches, 1):
            for trial in trials.make(numbers, bench).trials:
                write_input(trial, bench.geometry, folder / trial.name)
                change = trial.edit.target.difference(trial.edit.person.parameters)
                edits.append({"name": trial.name, "kinds": list(trial.kinds), "change": change})
            progress(done, len(batches))
        write_atomically(index, json.dumps({**about, "edits": edits}, indent=1).encode())
    except OSError as error:
        raise UserError(f"cannot write the inputs to {folder}: {error.strerror or error}") from error
    return len(edits)


def check_index(path: Path, about: dict[str, Any]) -> None:
    """UserError unless an index.json was begun for the same edits."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        other = next((key for key, value in about.items() if kept[key] != value), None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not the index of an evaluation's inputs; give a new folder") from error
    if other is not None:
        raise UserError(f"{path} was written for another {other} ({kept[other]!r}, now {about[other]!r}); give a new folder")


def write_input(trial: Trial, geometry: Geometry, folder: Path) -> None:
    """The files of one edit."""
    if (folder / "guide.json").is_file():  # the last of them
        return
    folder.mkdir(exist_ok=True)
    edit, size = trial.edit, trial.edit.size
    before, after = edit.person.parameters, edit.target
    maps = geometry.snapshot(after, size, ("normals", "lambertian")).image[0].permute(1, 2, 0).numpy() / 2 + 0.5
    write_atomically(folder / "source.png", encode_picture(trial.source))
    write_atomically(folder / "head.png", encode_picture(to_uint8(np.concatenate([maps[..., :3], maps[..., 3:]], 1))))
    write_atomically(folder / "source.json", before.to_json().encode())
    write_atomically(folder / "target.json", after.to_json().encode())
    guide = {name: looks(p, geometry, size) for name, p in (("source", before), ("target", after))}
    write_atomically(folder / "guide.json", json.dumps(guide, indent=1).encode())


def looks(parameters: FaceParameters, geometry: Geometry, size: int) -> dict[str, Any]:
    """One face in numbers that do not depend on the head model."""
    points = geometry.landmarks(parameters, size)[:, :2]
    sixty_eight = points[list(IBUG_68)] if len(points) == 468 else points
    return {
        "yaw_pitch_roll_degrees": [round(a, 4) for a in (parameters.yaw, parameters.pitch, parameters.roll)],
        "gaze_degrees": [round(a, 4) for a in parameters.gaze],
        "jaw_degrees": round(parameters.jaw, 4),
        "light_9x3": np.round(parameters.light.astype(float), 6).tolist(),
        "landmarks_68": np.round(sixty_eight, 3).tolist(),
    }


def parse_outputs(texts: list[str]) -> dict[str, Path]:
    """`NAME=FOLDER`, each; the names that tables show. UserError for another form, a name twice, a folder that is not there."""
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        name = name.strip()
        if not equals or not name or not folder:
            raise UserError(f"--outputs {text!r} is not of the form NAME=FOLDER")
        if name in folders or name in method_table():
            raise UserError(f"--outputs {text!r}: the name {name!r} is taken; choose another")
        if not Path(folder).is_dir():
            raise UserError(f"--outputs {text!r}: {folder} is not a folder")
        folders[name] = Path(folder)
    return folders


def read_output(folder: Path, name: str, size: int) -> NDArray[np.uint8] | None:
    """A method's picture of an edit, (size, size, 3) uint8; None if there is none. UserError for one that cannot be read or is not square."""
    path = next((p for p in (folder / f"{name}{ending}" for ending in ENDINGS) if p.is_file()), None)
    if path is None:
        return None
    picture = load_photo(path).array
    if picture.shape[0] != picture.shape[1]:
        raise UserError(f"{path} is {picture.shape[1]}x{picture.shape[0]} pixels; a square crop is wanted, as the source is")
    if picture.shape[0] != size:
        picture = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS))
    return picture


def folder_identity(folder: Path) -> str:
    """A short text that is another when the pictures of a folder are others: names, sizes and times of change."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS)
    return hashlib.sha256(repr([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]).encode()).hexdigest()[:16]
