"""What the super-resolution network learns from: pairs, edited by the preset's networks, with the true picture at twice their size.

A real pair is two photos of one person (real_pairs.py). The first is edited to look as the second, as `Editor.edit` does it; the truth is the second
photo, moved into the first one's crop and laid on the preview. A return pair is a warp of a photo, edited to look as the photo: that truth lies
where it should to the pixel. Half of the edits are first halved in size: the network then has to enlarge by 4 what it sees, at the sharpness that
these photos have. And of every photo its middle, as it is: what training softens itself (super_resolution_set.py).

`python -m discontrolface.training.super_resolution_data PHOTOS PEOPLE.csv -o FOLDER --leave-out FILE`; a person's files are written whole or not at
all, and a restart makes those that are missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.common.images import load_photo
from discontrolface.common.parallel import single_thread
from discontrolface.common.pixels import resize_planes, to_float, to_uint8
from discontrolface.common.tensors import from_network
from discontrolface.common.video import is_clip
from discontrolface.editing.carried import carried
from discontrolface.editing.detail import down
from discontrolface.editing.editor import Editor
from discontrolface.editing.looks import warped_looks
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, denoise, prepare
from discontrolface.editing.registration import displaced, motion
from discontrolface.editing.same_person import asked, photo_to_frame
from discontrolface.face.crop import cut_square
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.random_edits import random_edit
from discontrolface.synthetic.backgrounds import enlarge, make_background
from discontrolface.training.people import list_photos, make_folder, without
from discontrolface.training.real_pairs import PairSettings, person_generator, read_photos
from discontrolface.training.walls import cut_out

FloatArray = NDArray[np.float32]

SIZE: Final = 512  # pixels of the truth: what the photos of the sets that may be trained on have
# Channels of a block, in this order.
PLANES: Final[dict[str, int]] = {"carried": 3, "preview": 3, "visibility": 1, "trusted": 1, "truth": 3, "counts": 1}
CHANNELS: Final = sum(PLANES.values())
HALVED: Final = 0.5  # share of the edits that are halved first
AHEAD: Final = 0.6  # share of the people whose source is the photo that looks straight ahead
ELSEWHERE: Final = 0.3  # share of the people who stand before another place, where their wall is plain
PAIRS: Final = 5  # of a person
RETURNS: Final = 2  # return pairs of a person, at most
NATIVE: Final = 400  # pixels that a photo has in its crop, at least: what has fewer is no truth at SIZE
KINDS: Final = ("photos", "block", "return")  # of a person's files
MIDDLE: Final = 0.78  # of a photo's side: the square that is kept of it
PROFILE: Final = "profile"  # what the names of views end in that are read badly


def planes(name: str) -> slice:
    """Where a map lies on a block's channel axis."""
    names = list(PLANES)
    first = sum(PLANES[n] for n in names[: names.index(name)])
    return slice(first, first + PLANES[name])


def example(edit: PreparedEdit, picture: FloatArray, truth: FloatArray, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(CHANNELS, SIZE, SIZE): what the network sees of an edit (network's picture (s, s, 3)), and what it is to make of it.

    truth: (SIZE, SIZE, 3), where it should lie, known: where it is the photo.
    """
    seen, moved = carried(edit, picture)
    parts = {
        "carried": seen,
        "preview": edit.fine.image,
        "visibility": edit.fine.visibility[..., None],
        "trusted": moved.shown[..., None],
        "truth": truth,
        "counts": (known & (edit.fine.mask > 0))[..., None].astype(np.float32),
    }
    return encoded(parts)


def laid(edit: PreparedEdit, truth: FloatArray) -> FloatArray:
    """Another photo of the person (SIZE, SIZE, 3), laid on the edit's preview. It is registered at 256 pixels: finer takes long and gains little."""
    small = edit.preview
    field = motion(down(truth, len(small.image)), small.image, small.visibility)
    factor = SIZE / len(small.image)
    return displaced(truth, resize_planes(field * np.float32(factor), SIZE, Image.Resampling.BILINEAR))


def chosen(people: Sequence[Person], rng: np.random.Generator, settings: PairSettings) -> tuple[int, list[int]]:
    """A source among one person's photos, mostly the one that looks straight ahead, and PAIRS others at most that it is edited to look as."""
    yaws = [person.parameters.yaw for person in people]
    source = int(np.argmin(np.abs(yaws))) if rng.random() < AHEAD else int(rng.integers(len(people)))
    others = [j for j in range(len(people)) if j != source and abs(yaws[source] - yaws[j]) <= settings.max_turn]
    return source, [others[k] for k in rng.permutation(len(others))][:PAIRS]


def person_examples(editor: Editor, people: Sequence[Person], rng: np.random.Generator, settings: PairSettings) -> list[NDArray[np.uint8]]:
    """Of one person's photos, read with one shape; of a single one none. A share of the people stands before another place."""
    i, others = chosen(people, rng, settings)
    a, place = people[i], enlarge(make_background(rng), SIZE)
    head = cut_out(a.photo.array) if rng.random() < ELSEWHERE else None
    if head is not None:
        source = head.before(place, a.crop.resize(SIZE).photo_to_crop)
        a = Person.known(to_uint8(source), a.parameters, a.geometry)
    out: list[NDArray[np.uint8]] = []
    for j in others:
        b = people[j]
        target = asked(people[i], b)
        crop = cut_square(b.photo.array, photo_to_frame(b, target) * (SIZE / b.crop.size), SIZE)
        truth, known = to_float(crop.image), ~crop.beyond
        if head is not None:
            there = cut_out(b.photo.array)
            if there is None:
                continue
            truth, known = there.before(place, crop.photo_to_crop), np.ones_like(known)
        out.append(edited_example(editor, a, target, truth, known, rng))
    return out


def return_examples(editor: Editor, people: Sequence[Person], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Of one person's photos, RETURNS at most: each warped to another look, and edited back."""
    out = []
    for k in rng.permutation(len(people))[:RETURNS]:
        person, crop = people[k], people[k].crop.resize(SIZE)
        truth, look = to_float(crop.image), random_edit(people[k].parameters, rng, light=False)
        back, _ = warped_looks(truth, person.parameters, person.geometry, look)
        warped = Person.known(to_uint8(back.source), look, person.geometry)
        made = edited_example(editor, warped, person.parameters, truth, ~crop.beyond, rng, laid_on=False)
        if made[planes("counts")].any():  # a random edit may be none
            out.append(made)
    return out


def edited_example(
    editor: Editor,
    person: Person,
    target: FaceParameters,
    truth: FloatArray,
    known: NDArray[np.bool_],
    rng: np.random.Generator,
    laid_on: bool = True,  # the truth is another photo, and lies a little beside its place
) -> NDArray[np.uint8]:
    """One edit by the preset's networks, as the network meets it."""
    networks = editor.networks
    edit = prepare(person, target, networks.size, networks.maps, int(rng.integers(2**31)), SIZE)
    picture = from_network(denoise(networks, [edit], editor.preset.sampling))
    if rng.random() < HALVED:
        picture = down(picture, len(picture) // 2)
    return example(edit, picture, laid(edit, truth) if laid_on else truth, known)


def encoded(parts: Mapping[str, NDArray[np.floating]]) -> NDArray[np.uint8]:
    """The maps of an example, (S, S, C) in [0, 1] each, as (CHANNELS, S, S)."""
    return np.ascontiguousarray(np.concatenate([to_uint8(parts[name]) for name in PLANES], axis=-1).transpose(2, 0, 1))


def middles(paths: Sequence[Path]) -> list[NDArray[np.uint8]]:
    """(3, S, S) each: the middle squares of photos of one size, each with a face in its middle. Those of another size are left out."""
    pictures = [load_photo(path).array for path in paths]
    height, width = pictures[0].shape[:2]
    side = int(min(height, width) * MIDDLE) // 16 * 16
    top, left = (height - side) // 2, (width - side) // 2
    same = [picture for picture in pictures if picture.shape[:2] == (height, width)]
    return [picture[top : top + side, left : left + side].transpose(2, 0, 1) for picture in same]


def make_examples(
    photos: Path, people: str, output: Path, leave_out: Path | None, preset: str = "open", seed: int = 0, say: Callable[[str], None] = print
) -> None:
    """Every person's `photos_PERSON.npy`, (N, 3, S, S), `block_PERSON.npy` of real pairs and `return_PERSON.npy`, (N, CHANNELS, SIZE, SIZE), uint8.

    Files that exist are kept. Who has a single photo gives no real pairs; photos of fewer than NATIVE pixels give nothing.
    """
    found: dict[str, list[tuple[Path, bool]]] = {}
    for row in list_photos(photos, people):
        found.setdefault(row["person"], []).append((Path(row["file"]), not row.get("view", "").endswith(PROFILE)))
    listed = {name: sorted(one for one in found[name] if not is_clip(one[0])) for name in without(sorted(found), leave_out)}
    if not any(len(photos) > 1 for photos in listed.values()):
        raise UserError(f"nobody in {people} has two photos; the super-resolution network learns from real pairs")
    make_folder(output)
    settings = PairSettings(seed=seed)
    order = sorted(listed, key=lambda name: person_generator(name, settings).random())
    editor = Editor.load(preset)
    settings = replace(settings, size=editor.size)
    for number, name in enumerate(order, 1):
        files = {kind: output / f"{kind}_{name}.npy" for kind in KINDS}
        if not all(path.is_file() for path in files.values()):
            read, _ = read_photos([path for path, usable in listed[name] if usable], editor.reader, settings)
            read = [person for person in read if person.crop.native_size >= NATIVE]
            one, other = person_generator(name, settings), person_generator(f"{name} back", settings)
            if read:
                write_once(files["photos"], partial(middles, [path for path, _ in listed[name]]))
                write_once(files["block"], partial(person_examples, editor, read, one, settings))
                write_once(files["return"], partial(return_examples, editor, read, other))
        say(f"{name}, person {number} of {len(order)}")


def write_once(path: Path, make: Callable[[], Sequence[NDArray[np.uint8]]]) -> None:
    """Make arrays of one shape and write them, whole or not at all, unless they are there. Nothing is written of none."""
    arrays = [] if path.is_file() else make()
    if len(arrays):
        with replacing(path, "the block") as file:
            np.save(file, np.stack(arrays))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="the folder of the photos")
    parser.add_argument("people", help="a CSV with the columns file and person, or 'folders'")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--leave-out", type=Path, default=None, help="a file of people who are kept back, a name a line")
    parser.add_argument("--preset", default="open")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    single_thread()
    make_examples(args.photos, args.people, args.output, args.leave_out, args.preset, args.seed)


if __name__ == "__main__":
    main()
