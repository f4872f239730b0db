"""Labelled pictures for attribute directions: a table of files and labels, and the pictures' codes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.text_files import read_text
from discontrolface.editing.aligned import aligned_picture
from discontrolface.face.landmarks import FaceLandmarker
from discontrolface.nets.backbone import Backbone

BATCH = 8  # pictures encoded at a time


@dataclass(frozen=True)
class Labels:
    """names: of the attributes. paths: of the pictures. values: (N,A), above 0: has the attribute."""

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    values: Tensor


def read_labels(table: Path, folder: Path) -> Labels:
    """A comma-separated table, header `file,NAME,...`, with files relative to `folder`. UserError that names the line."""
    rows = [row for row in csv.reader(io.StringIO(read_text(table))) if row]
    if not rows or len(rows[0]) < 2 or rows[0][0].strip() != "file":
        raise UserError(f"{table} must begin with a line like file,smiling,glasses")
    names = tuple(name.strip() for name in rows[0][1:])
    if len(set(names)) < len(names) or "" in names:
        raise UserError(f"{table}: every attribute needs a name of its own, got {', '.join(names)}")
    paths, values = [], []
    for number, row in enumerate(rows[1:], 2):
        try:
            values.append([float(value) for value in row[1:]])
        except ValueError:
            raise UserError(f"{table}, row {number}: {','.join(row[1:])} are not numbers; 1 means that the picture has it, 0 not") from None
        if len(row) != len(names) + 1:
            raise UserError(f"{table}, row {number} has {len(row) - 1} labels, the first line names {len(names)}")
        paths.append(folder / row[0].strip())
        if not paths[-1].is_file():
            raise UserError(f"{table}, row {number}: {paths[-1]} does not exist")
    if len(paths) < 2:
        raise UserError(f"{table} lists {len(paths)} pictures; directions need many, some with the attribute and some without")
    return Labels(names, tuple(paths), torch.tensor(values))


@torch.no_grad()
def codes_of(
    model: Backbone,
    paths: tuple[Path, ...],
    aligned: bool,  # the pictures are crops already
    device: str,
    progress: Callable[[int, int], None],  # (pictures done, all)
) -> Tensor:
    """z_sem of every picture: (N,Z), on the CPU. UserError for a picture without a face."""
    landmarker = None if aligned else FaceLandmarker()
    codes = []
    for first in range(0, len(paths), BATCH):
        part = [aligned_picture(path, model.image_size, landmarker)[1] for path in paths[first : first + BATCH]]
        codes.append(model.encode(torch.cat(part).to(device)).cpu())
        progress(min(first + BATCH, len(paths)), len(paths))
    return torch.cat(codes)
