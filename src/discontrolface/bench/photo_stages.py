"""Stages on the CPU: reading a photo, drawing the head, pasting back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from discontrolface.bench.stage import Stage, Workload
from discontrolface.common.pixels import to_float
from discontrolface.common.usage import Work
from discontrolface.editing.composite import paste_back
from discontrolface.editing.detail import down, fuse_detail
from discontrolface.face.crop import landmarks_in_crop, make_crop
from discontrolface.face.fit import fit_landmarks, read_face
from discontrolface.face.geometry import SourceLook
from discontrolface.face.heads.open import FittedReader
from discontrolface.face.landmark_basis import LandmarkBasis
from discontrolface.face.landmarks import FaceLandmarker
from discontrolface.face.light_fit import fit_light
from discontrolface.geometry.cameras import project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import interpolate, rasterize, visible_vertices

LARGE = 3072  # pixels a side of a photo as cameras take it
EDITS: dict[str, dict[str, Any]] = {
    "smile": {"expression": {"smile": 0.8}},
    "jaw open": {"expression": {"jawOpen": 0.6}},
    "yaw 15": {"yaw": 15.0},
    "all": {"yaw": 15.0, "pitch": 5.0, "expression": {"smile": 0.5, "jawOpen": 0.4, "blink": 0.3}, "light": "left"},
}


def reading_stages(w: Workload) -> Iterator[Stage]:
    """Photo to parameters, in parts and all of it."""
    reader, array = w.editor.reader, w.photo.array
    face = reader.landmarker.detect(array)[0]
    landmarks = reader.landmarker.landmarks(array, face)
    crop = make_crop(array, landmarks, reader.size)
    yield Stage("read: load the landmark models", FaceLandmarker)
    yield Stage("read: find faces", lambda: reader.landmarker.detect(array))
    yield Stage("read: landmarks", lambda: reader.landmarker.landmarks(array, face))
    yield Stage("read: crop", lambda: make_crop(array, landmarks, reader.size))
    if isinstance(reader.head, FittedReader):
        points, iris = landmarks_in_crop(crop, landmarks)
        picture, head, seen = to_float(crop.image), reader.geometry.head, landmarks.blendshapes
        parameters = read_face(picture, points, head, iris, blendshapes=seen).parameters
        yield Stage("read: landmark basis", lambda: LandmarkBasis.of(head))
        yield Stage("read: fit", lambda: fit_landmarks(points, head, reader.size, iris, blendshapes=seen))
        yield Stage("read: light", lambda: fit_light(picture, head, parameters))
    else:
        yield Stage("read: parameters", lambda: reader.head.read(crop, landmarks))
    yield Stage("read", lambda: reader.read(w.photo))


def pasting_stages(w: Workload) -> Iterator[Stage]:
    """A large photo in, a crop back into it: detection, crop, the photo's detail, pasting."""
    large = np.asarray(Image.fromarray(w.photo.array).resize((LARGE, LARGE), Image.Resampling.BICUBIC))
    person = w.editor.read(replace(w.photo, array=large, alpha=None, stored_size=(LARGE, LARGE)))
    landmarker, fine = w.editor.reader.landmarker, person.fine_crop
    picture, everywhere = to_float(fine.image), np.ones((fine.size, fine.size))
    works: dict[str, Work] = {
        "find faces": lambda: landmarker.detect(large),
        "crop": lambda: make_crop(large, person.landmarks, w.editor.size),
        "carry detail over": lambda: fuse_detail(down(picture, w.editor.size), picture, everywhere),
        "paste back": lambda: paste_back(large, picture, fine, everywhere),
    }
    for name, work in works.items():
        yield Stage(f"large photo: {name}", work, "pixels", LARGE)


def preview_stages(w: Workload) -> Iterator[Stage]:
    """Preview and snapshot at each size; the reading of the photo for previews, and single edits, at the size of the crop."""
    person, target = w.person, w.target
    for size in w.sizes:
        yield Stage("preview", partial(person.draft, target, size), "pixels", size)
    for size in w.sizes:
        preview = person.draft(target, size)
        source = SourceLook(to_float(person.crop.resize(size).image), person.parameters)
        maps = w.editor.preset.control.config["snapshot_maps"]
        work = partial(person.geometry.snapshot, target, size, maps, preview, source=source)
        yield Stage("snapshot", work, "pixels", size)
    size = w.editor.size
    yield Stage("preview: read the photo", lambda: replace(person).preview_source(size), "pixels", size)
    for name, edit in EDITS.items():
        if person.geometry.label == "open" or "expression" not in edit:  # these names are the open head's
            yield Stage(f"preview: {name}", partial(person.draft, person.parameters.edit(**edit), size), "pixels", size)


def render_stages(w: Workload) -> Iterator[Stage]:
    """The rasterizer on the head of the photo."""
    vertices, faces = w.person.geometry.vertices(w.person.parameters), w.person.geometry.head.faces_tensor
    ndc, triangles = project(vertices, w.person.parameters.tensors()["camera"])[0].numpy(), faces.numpy()
    normals = vertex_normals(vertices, faces)[0].numpy()
    yield Stage("render: vertex normals", lambda: vertex_normals(vertices, faces))
    for size in w.sizes:
        raster = rasterize(ndc, triangles, size, size)
        yield Stage("render: rasterize", partial(rasterize, ndc, triangles, size, size), "pixels", size)
        yield Stage("render: rasterize both sides", partial(rasterize, ndc, triangles, size, size, cull=False), "pixels", size)
        yield Stage("render: interpolate 3 channels", partial(interpolate, raster, normals, triangles), "pixels", size)
        yield Stage("render: visible vertices", partial(visible_vertices, raster, ndc), "pixels", size)
