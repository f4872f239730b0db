"""Contact sheets: several labelled pictures in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from discontrolface.common.pixels import to_uint8
from discontrolface.editing.person import Person
from discontrolface.face.crop import cut_square
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.raster import rasterize

if TYPE_CHECKING:
    from discontrolface.editing.editor import EditResult
    from discontrolface.editing.group import GroupResult

TILE = 384  # pixels
LABEL = 26
INK, PAPER = (30, 30, 30), (250, 250, 250)
MESH_COLOUR = (60, 220, 160)


def contact_sheet(tiles: Sequence[tuple[str, Image.Image]], columns: int, tile: int = TILE) -> Image.Image:
    """Labelled pictures in rows of `columns`; each is scaled to fit a square of `tile` pixels."""
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * tile, rows * (tile + LABEL)), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for k, (label, picture) in enumerate(tiles):
        x, y = k % columns * tile, k // columns * (tile + LABEL)
        scale = tile / max(picture.size)
        small = picture.convert("RGB").resize(
            (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.LANCZOS
        )
        sheet.paste(small, (x + (tile - small.width) // 2, y + LABEL + (tile - small.height) // 2))
        draw.text((x + tile / 2, y + LABEL / 2), label, INK, font, anchor="mm")
    return sheet


def picture_grid(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size edge to edge, in rows of `columns`."""
    width, height = pictures[0].size
    columns = min(columns, len(pictures))
    grid = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height), PAPER)
    for k, picture in enumerate(pictures):
        grid.paste(picture, (k % columns * width, k // columns * height))
    return grid


def mesh_overlay(person: Person, parameters: FaceParameters, size: int = 512, below: Image.Image | None = None) -> Image.Image:
    """The crop, or another picture of it (`below`), with the edges of the mesh's visible triangles drawn over it."""
    view, faces = person.geometry.view(parameters), person.geometry.rig.faces
    picture = Image.fromarray(person.crop.resize(size).image) if below is None else below.resize((size, size))
    shown = np.unique(rasterize(view.vertices, faces, size, size).triangle)
    points = np.stack([(view.vertices[:, 0] + 1) / 2 * size, (1 - view.vertices[:, 1]) / 2 * size], 1)
    lines = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(lines)
    for corners in faces[shown[shown >= 0]]:
        a, b, c = (tuple(points[i].tolist()) for i in corners)
        draw.line([a, b, c, a], (*MESH_COLOUR, 110))
    return Image.alpha_composite(picture.convert("RGBA"), lines).convert("RGB")


def snapshot_picture(person: Person, parameters: FaceParameters, size: int = 512) -> Image.Image:
    """Normals on the left, the Lambertian rendering on the right, as the control network sees them."""
    maps = person.geometry.snapshot(parameters, size, ("normals", "lambertian")).image[0].permute(1, 2, 0).numpy()
    half = size // 2
    return Image.fromarray(to_uint8(np.concatenate([maps[:, :half, :3], maps[:, half:, 3:]], 1) / 2 + 0.5))


def reading_sheet(person: Person) -> Image.Image:
    """What `read` saw: photo, crop, mesh, snapshot."""
    tiles = [
        ("photo", Image.fromarray(person.photo.array)),
        ("crop", Image.fromarray(person.crop.resize(TILE).image)),
        (f"mesh, {person.fit.mean_percent:.2f} % of the face's width", mesh_overlay(person, person.parameters)),
        ("snapshot: normals | Lambertian", snapshot_picture(person, person.parameters)),
    ]
    return contact_sheet(tiles, 4)


def edit_sheet(person: Person, result: EditResult) -> Image.Image:
    """Every stage of an edit: photo, crop, mesh, snapshot of the target, preview, edit, and the photo with it."""
    tiles = [
        ("photo", Image.fromarray(person.photo.array)),
        ("crop", Image.fromarray(person.crop.resize(TILE).image)),
        ("mesh", mesh_overlay(person, person.parameters)),
        ("target mesh", mesh_overlay(person, result.parameters)),
        ("target snapshot", snapshot_picture(person, result.parameters)),
        ("preview (no network)", result.preview),
        ("edit", result.crop),
        ("edited photo", result.image),
    ]
    return contact_sheet(tiles, 4)


def faces_sheet(photo: Image.Image, boxes: Sequence[tuple[float, float, float, float]], longest: int = 1600) -> Image.Image:
    """The photo with a numbered box around each face, (left, top, right, bottom) in its pixels; its longer side at most `longest` pixels."""
    scale = min(1.0, longest / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    sheet = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(sheet)
    for number, box in reversed(list(enumerate(boxes))):  # the large ones last, on top
        x0, y0, x1, y1 = (v * scale for v in box)
        font = ImageFont.load_default(size=float(np.clip((y1 - y0) / 4, 11, 40)))
        draw.rectangle((x0, y0, x1, y1), outline=MESH_COLOUR, width=max(1, round((y1 - y0) / 60)))
        left, top, right, bottom = draw.textbbox((x0 + 2, y0 + 1), str(number), font)
        draw.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=INK)
        draw.text((x0 + 2, y0 + 1), str(number), PAPER, font)
    return sheet


def group_sheet(result: GroupResult, names: Sequence[str]) -> Image.Image:
    """A group photo before and after, then each edited face before and after."""
    image = np.asarray(result.image.convert("RGB"))
    tiles = [("photo", Image.fromarray(result.edits[0].person.photo.array)), ("edited photo", Image.fromarray(image))]
    for name, edit in zip(names, result.edits, strict=True):
        crop = edit.person.crop.resize(TILE)
        after = cut_square(image, crop.photo_to_crop, TILE).image
        tiles += [(f"face {name}", Image.fromarray(crop.image)), (f"face {name}, edited", Image.fromarray(after))]
    return contact_sheet(tiles, 4)
