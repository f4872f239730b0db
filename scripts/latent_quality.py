"""Pixels or latents on real pairs, at 512 pixels: the table of docs/latent.md, and a picture of every edit.

    discontrolface assets latent; discontrolface assets latent --untrained -o made
    python scripts/latent_quality.py FACES FACES/people.csv docs/kept-back.txt --made made --sheets OUT [--arcface mf.onnx]

The networks' whole pictures (nothing of the photo carried over) beside the true photo, which is not laid on anybody's.
The open preset's are enlarged from 256 pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import laplace

from discontrolface import Editor
from discontrolface.common.errors import UserError
from discontrolface.common.pixels import resize_planes, to_float, to_uint8
from discontrolface.common.statistics import bootstrap_mean, paired_difference
from discontrolface.common.tensors import from_network
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import denoise, prepare
from discontrolface.editing.same_person import asked, photo_to_frame
from discontrolface.evaluation.arcface import ArcFace
from discontrolface.evaluation.identity import IdentityModel
from discontrolface.evaluation.metrics import HIDDEN_BELOW
from discontrolface.evaluation.people_trials import list_evaluated
from discontrolface.evaluation.similarity import psnr, ssim
from discontrolface.evaluation.trials import safe
from discontrolface.face.crop import cut_square
from discontrolface.training.real_pairs import PairSettings, read_photos

SIZE: Final = 512
WAYS: Final = ("mesh warp", "open preset, 256 pixels enlarged", "latent preset, untrained", "latent preset")
FIGURES: Final = (
    "PSNR, dB",
    "hidden PSNR, dB",
    "SSIM",
    "sharpness, seen",
    "sharpness, hidden",
    "dlib distance, truth",
    "MobileFace cosine, truth",
)
DIGITS: Final = (2, 2, 3, 2, 2, 3, 3)
COMPARED: Final = ((3, 2, "latent less untrained, 95 % interval"), (3, 1, "latent less open"), (3, 0, "latent less warp"))
Picture = NDArray[np.float32]


class Judge:
    """Measures a picture against the true photo."""

    def __init__(self, editor: Editor, arcface: Path | None) -> None:
        self._reader, self._dlib = editor.reader, IdentityModel()
        self._arcface = None if arcface is None else ArcFace(arcface)

    def figures(self, picture: Picture, truth: Picture, hidden: NDArray[np.bool_]) -> list[float]:
        """In the order of FIGURES; nan where a face was not found, or no network was given."""
        fine, true = (laplace(image.mean(-1)) for image in (picture, truth))
        sharp = [float(fine[where].std() / true[where].std()) if where.any() else float("nan") for where in (~hidden, hidden)]
        beside = psnr(picture, truth, hidden) if hidden.any() else float("nan")
        alike = [psnr(picture, truth), beside, ssim(picture, truth)]
        return [*alike, *sharp, *self._identity(to_uint8(picture), to_uint8(truth))]

    def _identity(self, *pictures: NDArray[np.uint8]) -> tuple[float, float]:
        found = []
        for picture in pictures:
            try:
                found.append((picture, self._reader.landmarker.find_face(picture)))
            except UserError:
                return float("nan"), float("nan")
        one, other = found
        cosine = float("nan") if self._arcface is None else self._arcface.similarity(one, other)
        return self._dlib.distance(one, other, jitters=0), cosine


def pictures_of(editors: Sequence[Editor], a: Person, b: Person, seed: int) -> tuple[dict[str, Picture], Picture, NDArray[np.bool_]]:
    """{way: picture (512, 512, 3)} of the edit from a to b, the true photo, and where the photo a did not show it. editors: of WAYS[1:]."""
    target = asked(a, b)
    edits = [prepare(a, target, editor.networks.size, editor.networks.maps, seed, SIZE) for editor in editors]
    warp = edits[0].fine
    out: dict[str, Picture] = {WAYS[0]: warp.image}
    for way, editor, edit in zip(WAYS[1:], editors, edits, strict=True):
        picture = from_network(denoise(editor.networks, [edit], editor.preset.sampling))
        out[way] = np.clip(resize_planes(picture, SIZE, Image.Resampling.LANCZOS), 0, 1) if len(picture) != SIZE else picture
    crop = cut_square(b.photo.array, photo_to_frame(b, target) * (SIZE / b.crop.size), SIZE)
    return out, to_float(crop.image), warp.visibility < HIDDEN_BELOW


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("people")
    parser.add_argument("only")
    parser.add_argument("--latent", default="latent", help="the preset with its trained parts, if not the one of `assets latent`")
    parser.add_argument("--made", required=True, help="the preset without them")
    parser.add_argument("--arcface", type=Path, help="MobileFace (scripts/mobileface_onnx.py)")
    parser.add_argument(
        "--sheets", type=Path, required=True, help="a folder for every edit's pictures side by side: photo, truth, the ways"
    )
    args = parser.parse_args()
    editors = [Editor.load("open"), Editor.load(args.made), Editor.load(args.latent)]
    judge = Judge(editors[0], args.arcface)
    args.sheets.mkdir(parents=True, exist_ok=True)
    measured: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    owners: list[str] = []
    for person in (one for one in list_evaluated(args.faces, args.people, args.only) if one.others):
        read, _ = read_photos(person.photos, editors[0].reader, PairSettings(size=editors[0].size))
        by_path = {one.photo.path: one for one in read}
        source, *others = map(by_path.get, person.photos)
        for other in others:
            if source is None or other is None:
                continue
            pictures, truth, hidden = pictures_of(editors, source, other, len(owners))
            for way, picture in pictures.items():
                measured[way].append(judge.figures(picture, truth, hidden))
            row = [source.crop.resize(SIZE).image, to_uint8(truth), *map(to_uint8, pictures.values())]
            Image.fromarray(np.concatenate(row, axis=1)).save(args.sheets / f"{safe(f'{person.name}-{other.photo.path.stem}')}.png")
            owners.append(person.name)
        print(f"{person.name}: {len(owners)} edits", flush=True)
    print(table(measured, owners))


def table(measured: Mapping[str, Sequence[Sequence[float]]], owners: Sequence[str]) -> str:
    """Markdown: means, then differences edit by edit with intervals over people."""
    values = {way: np.array(rows) for way, rows in measured.items()}
    lines = ["| | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 1) + "|"]
    for way, rows in values.items():
        means = [bootstrap_mean(known(column)).value for column in rows.T]
        told = ["not measured" if mean is None else f"{mean:.{digits}f}" for mean, digits in zip(means, DIGITS, strict=True)]
        lines.append(f"| {way} | " + " | ".join(told) + " |")
    for one, other, name in COMPARED:
        pairs = zip(values[WAYS[one]].T, values[WAYS[other]].T, DIGITS, strict=True)
        told = [paired_difference(known(a), known(b), clusters=owners).text(digits) for a, b, digits in pairs]
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def known(column: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column]


if __name__ == "__main__":
    main()
