"""HeadNeRF as a method of editing: a photo is fitted once; the target's landmarks say pose and expression, its light is added to the code's."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.baselines.fitted import Fitted
from discontrolface.baselines.headnerf_face import ALL_STEPS, CAMERA_STEPS, SIZE, fit_face, fit_landmarks
from discontrolface.baselines.headnerf_fit import ITERATIONS, HeadFit, fit_photo
from discontrolface.baselines.headnerf_light import to_headnerf_light
from discontrolface.baselines.peer_weights import load_peer, stored
from discontrolface.common.errors import UserError
from discontrolface.editing.method import Method, MethodContext, finished
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, stacked
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.headnerf import HeadNeRF
from discontrolface.nets.nl3dmm import NL3DMM
from discontrolface.nets.vgg16 import Vgg16
from discontrolface.weights.asset_table import PEER_ASSETS, PeerAsset
from discontrolface.weights.assets import list_assets
from discontrolface.weights.headnerf import import_headnerf
from discontrolface.weights.nl3dmm import import_nl3dmm
from discontrolface.weights.vgg16 import import_vgg16

FACE_MODEL, PERCEPTUAL = "nl3dmm", "vgg16"  # keys of assets
FACE_STEPS = (CAMERA_STEPS, ALL_STEPS)  # of the first step of a fit
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadNerfMethod:
    """Makes a batch of edits. iterations, face_steps: of the two steps of the fit to a photo that was not seen before. vgg: None: without the
    perceptual loss.

    Its pictures have a white background, as the official ones; what an edit leaves of the photo is around them as with every method.
    """

    network: HeadNeRF
    face: NL3DMM
    iterations: int
    device: str = "cpu"
    vgg: Vgg16 | None = None
    face_steps: tuple[int, int] = FACE_STEPS
    fits: Fitted[HeadFit] = field(default_factory=Fitted)

    def __call__(self, edits: Sequence[PreparedEdit]) -> list[NDArray[np.uint8]]:
        return finished(edits, stacked([self._picture(edit) for edit in edits]))

    def _picture(self, edit: PreparedEdit) -> Tensor:
        """(1,3,S,S) in [-1, 1]."""
        fit, own = self.fit(edit), edit.person.parameters
        seen = fit_landmarks(self.face, landmarks(edit.person, edit.target), fit.start)
        light = to_headnerf_light(edit.target.light) - to_headnerf_light(own.light)
        with torch.no_grad():
            picture = fit.images(self.network, seen, light).merge_img.cpu()
        return _resized(picture, edit.size) * 2 - 1

    def fit(self, edit: PreparedEdit) -> HeadFit:
        """Of the person of an edit; made when it is first asked for."""

        def run() -> HeadFit:
            size = self.network.image_size
            start = fit_face(
                self.face, landmarks(edit.person, edit.person.parameters), _resized((edit.crop + 1) / 2, SIZE), self.face_steps
            )
            photo, head = _resized((edit.crop + 1) / 2, size), head_mask(edit.person, size)
            photo, head = torch.where(head, photo, 1.0).to(self.device), head.to(self.device)
            return fit_photo(self.network, start, photo, head, self.iterations, self.vgg)

        return self.fits.of(edit.person, run)


def landmarks(person: Person, parameters: FaceParameters) -> Tensor:
    """(68,2) iBUG in pixels of a crop of `SIZE`: those found in the photo, moved as the head model moves them from the photo's parameters."""
    geometry = person.geometry
    moved = geometry.landmarks(parameters, SIZE)[:, :2] - geometry.landmarks(person.parameters, SIZE)[:, :2]
    found = person.crop.to_crop(person.landmarks.points[:, :2]) * (SIZE / person.crop.size)
    points = found + moved
    return torch.from_numpy((points if len(points) == 68 else points[list(IBUG_68)]).astype(np.float32))


def head_mask(person: Person, size: int) -> Tensor:
    """(1,1,size,size) bool: the head with its hair, by the matte of the preview."""
    matte = torch.from_numpy(person.preview_source(max(size, 64)).matte)[None, None]
    return F.interpolate(matte, size=(size, size), mode="bilinear", align_corners=False) >= 0.5


def _resized(pictures: Tensor, size: int) -> Tensor:
    """(B,3,S,S) -> (B,3,size,size)."""
    if pictures.shape[-1] == size:
        return pictures
    return F.interpolate(pictures, size=(size, size), mode="bilinear", align_corners=False, antialias=True)


def headnerf_method(context: MethodContext) -> Method:
    """HeadNeRF with its official weights; its face model and VGG-16 lie beside them, or among the imported assets.

    UserError without weights or face model; without VGG-16 it goes on and says so.
    """
    path, device = context.weights["headnerf"], context.editor.device
    geometry, perceptual = (next(asset for asset in PEER_ASSETS if asset.key == key) for key in (FACE_MODEL, PERCEPTUAL))
    model = _beside(path, geometry, "nl3dmm_net_dict.pth", "../ConfigModels/nl3dmm_net_dict.pth") or stored(geometry)
    features = _beside(path, perceptual, perceptual.official)
    if features is None and list_assets(None, (perceptual,))[0].state == "ok":
        features = stored(perceptual)
    if features is None:
        _log.warning(
            "HeadNeRF is fitted without its perceptual loss, so its pictures are softer than the official ones: get %s from %s, then "
            "`discontrolface assets import FILE`",
            perceptual.official,
            perceptual.source,
        )
    network, face = load_peer(path, HeadNeRF, import_headnerf, device), load_face(model)
    own, codes = (face.config["identity"], face.config["texture"]), (network.code_sizes["shape"], network.code_sizes["texture"])
    if own != codes:
        raise UserError(
            f"{model} has {own[0]} identity and {own[1]} texture codes, but the model {path} has {codes[0]} and {codes[1]}; give the files "
            "that belong together"
        )
    vgg = None if features is None else load_peer(features, Vgg16, import_vgg16, device)
    return HeadNerfMethod(network, face, ITERATIONS, device, vgg, FACE_STEPS)


def _beside(path: Path, asset: PeerAsset, *names: str) -> Path | None:
    """An asset, or its official file, beside the network's."""
    return next((place for name in (asset.filename, *names) if (place := path.parent / name).exists()), None)


def load_face(path: Path) -> NL3DMM:
    """The face model of a file or of a folder; on the CPU, where its pictures are drawn."""
    return load_peer(path, NL3DMM, import_nl3dmm)
