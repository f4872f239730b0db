"""A person's head, as read or edited, as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from discontrolface.common.errors import UserError
from discontrolface.common.text_files import check_text_output
from discontrolface.editing.person import Person
from discontrolface.face.export import photo_texture, write_mesh
from discontrolface.face.parameters import FaceParameters

ENDINGS = (".glb", ".obj")


def check_mesh_output(path: Path, overwrite: bool = False) -> None:
    """Say before the long work whether the mesh, and the files that go with an .obj, can be written."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"{path} has no ending that meshes are written to; choose {' or '.join(ENDINGS)}")
    check_text_output(path, overwrite, ending)
    for beside in (".mtl", ".png") if ending == ".obj" else ():
        check_text_output(path.with_suffix(beside), overwrite, beside)


def export_person(
    person: Person,
    target: FaceParameters,  # the head to write
    path: Path,  # .glb, or .obj (with .mtl and .png beside it)
    texture_size: int = 1024,  # texels; 0: no texture
    posed: bool = True,  # False: shape and expression only, at rest
    overwrite: bool = False,
) -> None:
    """The head in metres, with wrinkles where `person.geometry` draws them, and with the photo laid on it as its texture."""
    check_mesh_output(path, overwrite)
    write_mesh(path, *textured_head(person, target, texture_size, posed))


def textured_head(person: Person, target: FaceParameters, texture_size: int = 1024, posed: bool = True) -> tuple[Any, Any, Any, Any, Any]:
    """(vertices, faces, uv, faces_uv, texture) as `write_mesh` and `glb_bytes` take them; texture_size and posed as in `export_person`."""
    person.check_target(target)
    head, texture = person.geometry.head, None
    if texture_size:
        texture = photo_texture(person.fine_crop.image, person.own_view.vertices, head, texture_size)[0]
    if not posed:
        target = target.with_(pose=np.zeros_like(target.pose))
    mesh = person.geometry.surface(target)
    return mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv, texture
