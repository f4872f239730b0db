"""The face of the paper preset: FLAME with the open head's blendshapes, read by EMOCA or DECA (or by the landmark fit alone), rendered with detail.

face = PaperFace.load(folder)                       # what `discontrolface assets import` stored
reading = face.read(photo, landmarks, photo_to_crop, size)
shot = face.snapshot(reading.parameters.edit(expression={"jawOpen": 0.6}), 256, codes=reading.codes)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import PAPER_MAPS
from discontrolface.face.codes import from_parameters, to_parameters
from discontrolface.face.correspond import correspond
from discontrolface.face.deca_crop import cut_deca, deca_crop
from discontrolface.face.detail import DetailSpace
from discontrolface.face.fit import measure, read_face
from discontrolface.face.flame import FlameTexture, load_content
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.regress import CODE_SIZES, Codes, FaceRegressor
from discontrolface.face.transfer import BlendshapeTable, named_head, raw_names, rebuilt, transfer_blendshapes, with_mesh_landmarks
from discontrolface.geometry.affine import affine_scale, apply_affine, invert_affine
from discontrolface.render.snapshot import render_snapshot

if TYPE_CHECKING:
    from discontrolface.face.fit import FitReport
    from discontrolface.render.snapshot import Snapshot

BLENDSHAPES_FILE = "actions.safetensors"


@dataclass(frozen=True)
class PaperReading:
    """What was read from a photo. parameters: of `PaperFace.head`, for the crop. codes: DECA's or EMOCA's own (None without a regressor), which
    hold what parameters do not: texture and detail. fit: how well the parameters meet the landmarks."""

    parameters: FaceParameters
    codes: Codes | None
    fit: FitReport


@dataclass(frozen=True)
class PaperFace:
    """Everything of the paper preset but its two diffusion networks.

    head: FLAME with 100 shape coefficients; 52 blendshapes, then 50 coefficients of its own (`flame00`, ...); MediaPipe's 468 landmarks.
    blendshapes: what these are in FLAME's own vectors, with their residuals.
    """

    head: HeadModel
    blendshapes: BlendshapeTable
    regressor: FaceRegressor | None
    texture: FlameTexture | None
    detail: DetailSpace | None

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu", source: HeadModel | None = None) -> PaperFace:
        """From the asset folder. Only the model and its landmarks are needed; what else is there is used.

        The blendshapes are solved on the first call (a second) and kept in the folder. source: the head that they come from (the open one).
        """
        folder = Path(folder)
        head, table = load_named_flame(folder, source)
        regressor, texture = folder / "regressor.safetensors", folder / "texture.safetensors"
        return cls(
            head,
            table,
            FaceRegressor.load(regressor, device) if regressor.is_file() else None,
            FlameTexture.read(texture, CODE_SIZES["tex"]) if texture.is_file() else None,
            _detail(folder, head),
        )

    def read(
        self,
        photo: NDArray[np.uint8],  # (H, W, 3)
        points: NDArray[np.floating],  # (468, 2 or 3) landmarks in the photo
        photo_to_crop: NDArray[np.floating],  # (2, 3) of the crop that the parameters are for
        size: int = 256,  # of that crop
        regressor: bool = True,  # False: by the landmark fit alone, also where there is a regressor
        picture: NDArray[np.floating]
        | None = None,  # (size, size, 3) in [0, 1], the crop; for the landmark fit, which reads light and skin off it
        iris: NDArray[np.floating] | None = None,  # (2, 5, 2) in the photo, for the landmark fit
        blendshapes: NDArray[np.floating] | None = None,  # (52,) Landmarks.blendshapes, for the landmark fit
        like: PaperReading | None = None,  # of the same person: identity, skin and wrinkles are then held
    ) -> PaperReading:
        """Read a face: by EMOCA (or DECA) where its networks are there, else by the landmark fit."""
        placed = np.concatenate([apply_affine(photo_to_crop, points[:, :2]), points[:, 2:] * affine_scale(photo_to_crop)], 1)
        if regressor and self.regressor is not None:
            crop = deca_crop(points)
            device = next(self.regressor.parameters()).device
            codes = self.regressor.encode(cut_deca(photo, crop).to(device))
            if like is not None and like.codes is not None:
                codes = replace(codes, shape=like.codes.shape, tex=like.codes.tex, detail=like.codes.detail)
            affine = _chain(invert_affine(crop), np.asarray(photo_to_crop, np.float64))
            parameters = to_parameters(codes, self.head, 0, affine, size, self.blendshapes, self._albedo(codes))
            return PaperReading(parameters, codes, measure(parameters, self.head, placed, size))
        if picture is None:
            raise UserError("without a regressor the face is read off the crop; give picture=")
        around = None if iris is None else apply_affine(photo_to_crop, iris)
        return self._fit(placed, picture, around, blendshapes, like)

    def _fit(
        self,
        points: NDArray[np.floating],  # this and what follows: in the crop
        picture: NDArray[np.floating],
        iris: NDArray[np.floating] | None,
        seen: NDArray[np.floating] | None,  # (52,) Landmarks.blendshapes
        like: PaperReading | None,
    ) -> PaperReading:
        """The landmark fit of the open preset, on blendshapes only; FLAME's own coefficients stay 0."""
        own = self.head.expression_count - len(self.blendshapes.names)
        size = len(self.head.template)
        fields = self.head.expression_dirs.cpu().numpy()[: len(self.blendshapes.names)].reshape(-1, size, 3)
        face_head = rebuilt(self.head, expression_dirs=fields, expression_names=self.blendshapes.names)
        person: dict[str, Any] = {}
        if like is not None:
            habits = like.fit.blendshape_offsets
            person = {"shape": like.parameters.shape, "offsets": like.fit.offsets, "blendshape_offsets": habits}
        parameters, fit = read_face(np.asarray(picture, np.float32), points, face_head, iris, blendshapes=seen, **person)
        full = np.concatenate([parameters.expression, np.zeros(own, np.float32)])
        return PaperReading(parameters.with_(expression=full, expression_names=(*self.blendshapes.names, *raw_names(own))), None, fit)

    def _albedo(self, codes: Codes, index: int = 0) -> NDArray[np.float32] | None:
        """(R, 3): the mean of the texture's texels per region; None without a texture space."""
        if self.texture is None or self.detail is None:
            return None
        image = self.texture(codes.tex[index : index + 1].cpu())[0].clamp(0, 1)  # (3, S, S)
        space = self.detail
        region = torch.from_numpy(self.head.region.astype(np.int64))[self.head.faces_tensor[:, 0]][space.triangle.clamp(min=0)]
        default = FaceParameters.default(self.head).albedo
        out = [image[:, (region == r) & (space.triangle >= 0)].mean(1).numpy() for r in range(len(self.head.region_names))]
        return np.stack([d if np.isnan(o).any() else o for o, d in zip(out, default, strict=True)]).astype(np.float32)

    @torch.no_grad()
    def displacement(self, parameters: FaceParameters, codes: Codes) -> Tensor:
        """(1, 1, 256, 256) in metres: the wrinkles of the person of `codes` in the expression of `parameters`."""
        if self.regressor is None:
            raise UserError("detail needs the regressor's networks; import an EMOCA or DECA checkpoint")
        target = from_parameters(parameters, self.head, blendshapes=self.blendshapes)
        device = next(self.regressor.parameters()).device
        detail = None if codes.detail is None else codes.detail[:1].to(device)
        return self.regressor.displacement(replace(target, exp=target.exp.to(device), pose=target.pose.to(device), detail=detail)).cpu()

    @torch.no_grad()
    def snapshot(
        self,
        parameters: FaceParameters,
        size: int,  # of the crop that the parameters are for
        maps: Sequence[str] = PAPER_MAPS,
        codes: Codes | None = None,  # of the person: their detail (and albedo). None: no detail, the paper's ablation
        given: Mapping[str, Tensor] | None = None,  # maps that are not drawn, as `render_snapshot` takes them
        vertices: Tensor | None = None,  # (1, V, 3) of `parameters`, if the head was posed before
    ) -> Snapshot:
        """The control image of one face (1, C, size, size), with the person's wrinkles in the expression of `parameters`."""
        p = parameters.tensors()
        if vertices is None:
            vertices = self.head(p["shape"], p["expression"], p["pose"]).vertices
        albedo = torch.tensor(parameters.albedo[self.head.region.astype(int)])[None]
        if self.detail is None or codes is None or codes.detail is None or self.regressor is None:
            faces = self.head.faces_tensor
            return render_snapshot(vertices, faces, p["camera"], p["light"], albedo, size, maps, given, self.head.name)
        displacement = self.displacement(parameters, codes)
        return self.detail.snapshot(vertices, p["camera"], p["light"], albedo, size, maps, displacement, given)


def load_named_flame(folder: Path, source: HeadModel | None = None) -> tuple[HeadModel, BlendshapeTable]:
    """FLAME as `PaperFace.head` is, and its blendshapes; see `PaperFace.load`. Raises UserError if the model or its landmarks are missing."""
    files = {key: folder / f"{key}.safetensors" for key in ("flame", "landmarks", "topology", "masks")}
    for key in ("flame", "landmarks"):
        if not files[key].is_file():
            raise UserError(f"{files[key]} is missing; see `discontrolface assets` for the file that brings it")
    topology, masks = (files[key] if files[key].is_file() else None for key in ("topology", "masks"))
    flame = HeadModel.from_flame(files["flame"], files["landmarks"], topology, masks, CODE_SIZES["shape"], CODE_SIZES["exp"])
    source = HeadModel.open() if source is None else source
    match = correspond(source, flame)
    table = _blendshapes(folder / BLENDSHAPES_FILE, source, flame, lambda: transfer_blendshapes(source, flame, match))
    return named_head(with_mesh_landmarks(flame, match), table), table


def _blendshapes(path: Path, source: HeadModel, flame: HeadModel, solve: Any) -> BlendshapeTable:
    """The kept table where it belongs to these heads, else a new one, kept."""
    if path.is_file():
        table = BlendshapeTable.load(path)
        if table.names == source.expression_names and table.fields.shape[1] == len(flame.template):
            return table
    table = solve()
    table.save(path)
    return table


def _detail(folder: Path, head: HeadModel) -> DetailSpace | None:
    """Where there are texture coordinates; the mask and the constant displacement where they are there."""
    if head.uv is None:
        return None
    maps = {}
    for key, name in (("detail_mask", "mask"), ("detail_fixed", "fixed")):
        path = folder / f"{key}.safetensors"
        if path.is_file():
            content = load_content(path)
            if name not in content:
                raise UserError(f"{path} has no {name}; import the official file again")
            maps[name] = content[name]
    return DetailSpace.of(head, **maps)


def _chain(first: NDArray[np.floating], then: NDArray[np.floating]) -> NDArray[np.float64]:
    """One (2, 3) affine map after another."""
    full = np.vstack([first, [0, 0, 1]])
    return np.asarray(then, np.float64) @ full
