"""A drawn person of a synthetic FLAME with texture and codes, without the networks that read photos: quick to make."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discontrolface.common.pixels import to_uint8
from discontrolface.editing.person import Person
from discontrolface.face.codes import from_parameters
from discontrolface.face.geometry import DetailGeometry, Geometry
from discontrolface.face.paper import PaperFace
from discontrolface.face.parameters import FaceParameters
from discontrolface.weights.assets import import_asset
from helpers.flame_synthetic import write_all


def flame_person(folder: Path, size: int = 32) -> Person:
    """folder: gets the files that a user would bring, and the assets made of them."""
    write_all(folder / "files", networks=False)
    random = np.random.default_rng(3)
    texture = {"mean": random.uniform(60, 200, (64, 64, 3)), "tex_dir": random.normal(0, 5, (64, 64, 3, 50))}
    np.savez(folder / "files" / "FLAME_texture.npz", **{name: value.astype(np.float32) for name, value in texture.items()})  # type: ignore[arg-type]
    for path in sorted((folder / "files").iterdir()):
        assert import_asset(path, folder / "assets").state == "ok"
    face = PaperFace.load(folder / "assets")
    parameters = FaceParameters.default(face.head).edit(yaw=-6, expression={"jawOpen": 0.1})
    plain = Geometry(face.head)
    geometry = DetailGeometry(face.head, plain, face, from_parameters(parameters, face.head, blendshapes=face.blendshapes))
    drawn = plain.snapshot(parameters, size, ("lambertian",))
    picture = (drawn.image[0] * drawn.mask[0]).permute(1, 2, 0).numpy() / 2 + 0.5  # grey around
    return Person.known(to_uint8(picture), parameters, geometry)
