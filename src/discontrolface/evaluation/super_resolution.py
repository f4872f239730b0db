"""What the super-resolution network gains, on people who were kept out of training: `python -m discontrolface.evaluation.super_resolution PHOTOS
PEOPLE.csv --only docs/kept-back.txt -o OUT.json`.

Real pairs (people_trials.py), whose edits are brought to 512 and 1024 pixels in three ways: by Lanczos alone, with the photo's detail carried
over (as without the network), and with the network. They are compared with the true photo in the edit's frame, laid on the preview, which all three
have in common (editing/registration.py): two readings of one person differ by a pixel or two of 256, and fine detail beside its place says nothing.
Measured where the edit may change the photo ("head"), and of that where the photo did not show it ("hidden"). Sharpness is the standard
deviation of the Laplacian, over the truth's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import laplace

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.pixels import resize_planes, to_float, to_uint8
from discontrolface.common.statistics import paired_difference
from discontrolface.common.tensors import from_network
from discontrolface.editing.detail import down
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, denoise, finished, prepare
from discontrolface.editing.registration import displaced, motion
from discontrolface.editing.same_person import asked, photo_to_frame
from discontrolface.evaluation.metrics import HIDDEN_BELOW, HIDDEN_SHARE
from discontrolface.evaluation.people_trials import PersonPhotos, list_evaluated
from discontrolface.evaluation.similarity import psnr, ssim_map
from discontrolface.face.crop import cut_square
from discontrolface.training.real_pairs import PairSettings, read_photos

FloatArray = NDArray[np.float32]
WAYS: Final = ("lanczos", "carried over", "super-resolution")
FIGURES: Final = ("psnr", "ssim", "sharpness")
REGIONS: Final = ("head", "hidden")
Figures = dict[str, float]
Result = dict[str, dict[str, Any]]  # by size: {"means": {region/way: figures}, "gains": {region: {figure: a mean with its interval}}}


def true_picture(edit: PreparedEdit, b: Person, size: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """b's photo in the edit's frame, laid on the preview, (size, size, 3); and where it is the photo."""
    crop = cut_square(b.photo.array, photo_to_frame(b, edit.target) * (size / b.crop.size), size)
    truth, small = to_float(crop.image), edit.preview
    field = motion(down(truth, edit.size), small.image, small.visibility) * np.float32(size / edit.size)
    return displaced(truth, resize_planes(field, size, Image.Resampling.BILINEAR)), ~crop.beyond


def figures(picture: FloatArray, truth: FloatArray, regions: Mapping[str, NDArray[np.bool_]]) -> dict[str, Figures]:
    """Over each region (S, S): psnr in dB, ssim, sharpness relative to the truth's."""
    alike = ssim_map(picture, truth)
    fine, true = (np.stack([laplace(image[..., c]) for c in range(3)], -1) for image in (picture, truth))
    return {
        name: {
            "psnr": psnr(picture, truth, where),
            "ssim": float(alike[where].mean()),
            "sharpness": float(fine[where].std() / max(true[where].std(), 1e-6)),
        }
        for name, where in regions.items()
    }


def measured(editor: Editor, a: Person, b: Person, size: int, seed: int) -> tuple[dict[str, Figures], dict[str, FloatArray]]:
    """{region/way: figures} of one edit at one size, and the pictures by way, with the photo and the truth."""
    networks = editor.networks
    edit = prepare(a, asked(a, b), networks.size, networks.maps, seed, size)
    picture = from_network(denoise(networks, [edit], editor.preset.sampling))
    truth, known = true_picture(edit, b, size)
    pictures = {
        "lanczos": np.clip(resize_planes(picture, size, Image.Resampling.LANCZOS), 0, 1),
        "carried over": finished(edit, picture)[0],
    }
    begin = time.perf_counter()
    pictures["super-resolution"] = finished(edit, picture, networks.larger)[0]
    seconds = time.perf_counter() - begin
    head = (edit.fine.mask > 0) & known
    regions = {"head": head, "hidden": head & (edit.fine.visibility < HIDDEN_BELOW)}
    regions = {name: where for name, where in regions.items() if where.mean() > HIDDEN_SHARE}
    by_way = {way: figures(pictures[way], truth, regions) for way in WAYS}
    out = {f"{region}/{way}": by_way[way][region] for region in regions for way in WAYS}
    out["seconds"] = {"compositing with the network": seconds}
    return out, {"photo": to_float(edit.fine_crop.image), **pictures, "truth": truth}


def measure_people(editor: Editor, people: Sequence[PersonPhotos], sizes: Sequence[int], most: int, sheet: Path | None) -> Result:
    """People's edits, `most` of each person. sheet: a folder for every edit's pictures side by side."""
    found: dict[str, dict[str, list[Figures]]] = {str(size): {} for size in sizes}
    owners: dict[str, list[str]] = {}  # of the edits of a region, in their order
    seed = 0
    for person in people:
        read, _ = read_photos(person.photos, editor.reader, PairSettings(size=editor.size))
        by_path = {one.photo.path: one for one in read}
        if person.photos[0] not in by_path:
            continue
        for photo in [path for path in person.others if path in by_path][:most]:
            seed += 1
            for size in sizes:
                result, pictures = measured(editor, by_path[person.photos[0]], by_path[photo], size, seed)
                for name, values in result.items():
                    found[str(size)].setdefault(name, []).append(values)
                    owners.setdefault(f"{size}/{name}", []).append(person.name)
                if sheet is not None:
                    row = np.concatenate([to_uint8(picture) for picture in pictures.values()], 1)
                    Image.fromarray(row).save(sheet / f"{person.name}-{photo.stem}-{size}.png")
        print(f"{person.name}: {seed} edits", flush=True)
    return {
        size: {
            "means": {name: mean(values) for name, values in by_name.items()},
            "gains": {
                region: gains(by_name, region, owners[f"{size}/{region}/{WAYS[2]}"])
                for region in REGIONS
                if f"{region}/{WAYS[2]}" in by_name
            },
        }
        for size, by_name in found.items()
    }


def mean(values: Sequence[Figures]) -> Figures:
    """Of each figure, and how many there are."""
    return {**{name: round(float(np.mean([v[name] for v in values])), 4) for name in values[0]}, "edits": len(values)}


def gains(by_name: Mapping[str, Sequence[Figures]], region: str, owners: Sequence[str]) -> dict[str, str]:
    """How much more the network's pictures have of each figure than those without it, edit by edit; intervals over people (common/statistics.py)."""
    with_it, without = by_name[f"{region}/{WAYS[2]}"], by_name[f"{region}/{WAYS[1]}"]
    return {name: paired_difference([a[name] for a in with_it], [b[name] for b in without], clusters=owners).text(4) for name in FIGURES}


def table(result: Result) -> str:
    """Markdown."""
    lines = ["| size | where | way | PSNR, dB | SSIM | sharpness | edits |", "|---|---|---|---|---|---|---|"]
    for size, found in result.items():
        for name, values in found["means"].items():
            region, _, way = name.partition("/")
            if way:
                psnr_, ssim_, sharp = (values[figure] for figure in FIGURES)
                lines.append(f"| {size} | {region} | {way} | {psnr_:.2f} | {ssim_:.4f} | {sharp:.2f} | {values['edits']:g} |")
        for region, gain in found["gains"].items():
            lines.append(f"| {size} | {region} | gain over {WAYS[1]} | " + " | ".join(gain[figure] for figure in FIGURES) + " | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="the folder of the photos")
    parser.add_argument("people", help="a CSV with the columns file and person, or 'folders'")
    parser.add_argument("--only", default=None, help="names with commas, or a file of them")
    parser.add_argument("--sizes", default="512,1024", help="pixels, with commas")
    parser.add_argument("--edits", type=int, default=5, help="of a person, at most")
    parser.add_argument("--preset", default="open")
    parser.add_argument("--sheets", type=Path, default=None, help="a folder for the pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON")
    args = parser.parse_args()
    editor = Editor.load(args.preset)
    if editor.networks.larger is None:
        raise UserError(f"preset {args.preset} has no super_resolution/; there is nothing to measure")
    people = [person for person in list_evaluated(args.photos, args.people, args.only) if len(person.photos) > 1]
    if args.sheets is not None:
        args.sheets.mkdir(parents=True, exist_ok=True)
    result = measure_people(editor, people, [int(size) for size in args.sizes.split(",")], args.edits, args.sheets)
    write_atomically(args.output, json.dumps(result, indent=1).encode())
    print(table(result))


if __name__ == "__main__":
    main()
