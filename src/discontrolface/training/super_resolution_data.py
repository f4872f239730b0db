"""What the super-resolution network learns from: real pairs, edited by the preset's networks, with the true picture at twice their size.

A pair is two photos of one person (real_pairs.py). The first is edited to look as the second, as `Editor.edit` does it; the truth is the second
photo, moved into the first one's crop and laid on the preview. Half of the edits are first halved in size: the network then has to enlarge by 4 what
it sees, at the sharpness that these photos have. And of every photo its middle, as it is: what
training softens itself (super_resolution_set.py).

`python -m discontrolface.training.super_resolution_data PHOTOS PEOPLE.csv -o FOLDER --leave-out FILE`; a person's files are written whole or not at
all, and a restart makes those that are missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from discontrolface.editing.detail import down
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, carried, denoise, prepare
from discontrolface.editing.registration import displaced, motion
from discontrolface.editing.same_person import asked, photo_to_frame
from discontrolface.face.crop import cut_square
from discontrolface.face.parameters import FaceParameters
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
MIDDLE: Final = 0.78  # of a photo's side: the square that is kept of it
PROFILE: Final = "profile"  # what the names of views end in that are read badly


def planes(name: str) -> slice:
    """Where a map lies on a block's channel axis."""
    names = list(PLANES)
    first = sum(PLANES[n] for n in names[: names.index(name)])
    return slice(first, first + PLANES[name])


def example(edit: PreparedEdit, picture: FloatArray, truth: FloatArray, known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(CHANNELS, SIZE, SIZE): what the network sees of an edit (network's picture (s, s, 3)), and what it is to make of it.

    truth: (SIZE, SIZE, 3), known: where it is the photo. It is registered at the picture's full size, 256 pixels: finer takes long and gains little.
    """
    small = edit.preview
    field = motion(down(truth, len(small.image)), small.image, small.visibility)
    factor = SIZE / len(small.image)
    truth = displaced(truth, resize_planes(field * np.float32(factor), SIZE, Image.Resampling.BILINEAR))
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


def chosen(people: Sequence[Person], rng: np.random.Generator, settings: PairSettings) -> tuple[int, list[int]]:
    """A source among one person's photos, mostly the one that looks straight ahead, and PAIRS others at most that it is edited to look as."""
    yaws = [person.parameters.yaw for person in people]
    source = int(np.argmin(np.abs(yaws))) if rng.random() < AHEAD else int(rng.integers(len(people)))
    others = [j for j in range(len(people)) if j != source and abs(yaws[source] - yaws[j]) <= settings.max_turn]
    return source, [others[k] for k in rng.permutation(len(others))][:PAIRS]


def person_examples(editor: Editor, people: Sequence[Person], rng: np.random.Generator, settings: PairSettings) -> list[NDArray[np.uint8]]:
    """Of one person's photos, read with one shape. A share of the people stands before another place."""
    i, others = chosen(people, rng, settings)
    a, place = people[i], enlarge(make_background(rng), SIZE)
    head = cut_out(a.photo.array) if rng.random() < ELSEWHERE else None
    if head is not None:
        source = head.before(place, a.crop.resize(SIZE).photo_to_crop)
        a = Person.known(to_uint8(source), a.parameters, a.geometry)
    out = []
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


def edited_example(
    editor: Editor, person: Person, target: FaceParameters, truth: FloatArray, known: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One edit by the preset's networks, as the network meets it."""
    networks = editor.networks
    edit = prepare(person, target, networks.size, networks.maps, int(rng.integers(2**31)), SIZE)
    picture = from_network(denoise(networks, [edit], editor.preset.sampling))
    if rng.random() < HALVED:
        picture = down(picture, len(picture) // 2)
    return example(edit, picture, truth, known)


def encoded(parts: Mapping[str, NDArray[np.floating]]) -> NDArray[np.uint8]:
    """The maps of an example, (S, S, C) in [0, 1] each, as (CHANNELS, S, S)."""
    return np.ascontiguousarray(np.concatenate([to_uint8(parts[name]) for name in PLANES], axis=-1).transpose(2, 0, 1))


def middles(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """(N, 3, S, S) the middle squares of photos of one size, each with a face in its middle. Those of another size are left out."""
    pictures = [load_photo(path).array for path in paths]
    height, width = pictures[0].shape[:2]
    side = int(min(height, width) * MIDDLE) // 16 * 16
    top, left = (height - side) // 2, (width - side) // 2
    same = [picture for picture in pictures if picture.shape[:2] == (height, width)]
    return np.stack([picture[top : top + side, left : left + side].transpose(2, 0, 1) for picture in same])


def make_examples(
    photos: Path, people: str, output: Path, leave_out: Path | None, preset: str = "open", seed: int = 0, say: Callable[[str], None] = print
) -> None:
    """Every person's `photos_PERSON.npy`, (N, 3, S, S), and `block_PERSON.npy`, (N, CHANNELS, SIZE, SIZE), uint8; those that exist are kept.

    Who has a single photo gives none.
    """
    found: dict[str, list[tuple[Path, bool]]] = {}
    for row in list_photos(photos, people):
        found.setdefault(row["person"], []).append((Path(row["file"]), not row.get("view", "").endswith(PROFILE)))
    listed = {name: sorted(found[name]) for name in without(sorted(found), leave_out) if len(found[name]) > 1}
    if not listed:
        raise UserError(f"nobody in {people} has two photos; the super-resolution network learns from real pairs")
    make_folder(output)
    settings = PairSettings(seed=seed)
    order = sorted(listed, key=lambda name: person_generator(name, settings).random())
    editor = Editor.load(preset)
    settings = replace(settings, size=editor.size)

    def edits(name: str) -> NDArray[np.uint8] | None:
        read, _ = read_photos([path for path, usable in listed[name] if usable], editor.reader, settings)
        made = person_examples(editor, read, person_generator(name, settings), settings) if len(read) > 1 else []
        return np.stack(made) if made else None

    for number, name in enumerate(order, 1):
        write_once(output / f"photos_{name}.npy", lambda name=name: middles([path for path, _ in listed[name]]))  # type: ignore[misc]
        write_once(output / f"block_{name}.npy", lambda name=name: edits(name))  # type: ignore[misc]
        say(f"{name}, person {number} of {len(order)}")


def write_once(path: Path, make: Callable[[], NDArray[np.uint8] | None]) -> None:
    """Make an array and write it, whole or not at all, unless it is there. None: there is nothing to write."""
    array = None if path.is_file() else make()
    if array is not None:
        with replacing(path, "the block") as file:
            np.save(file, array)


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
