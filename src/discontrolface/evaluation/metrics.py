"""The figures of one edited picture: against the true result, read again, the person, what should have stayed. Of sets: set_distances.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_opening

from discontrolface.common.errors import UserError
from discontrolface.common.pixels import resize_planes, to_float, to_uint8
from discontrolface.common.tensors import to_network
from discontrolface.evaluation.rereading import Look, changed_look, look_errors, look_of, read_picture
from discontrolface.evaluation.similarity import MS_SSIM_SIDE, ms_ssim, psnr, ssim

if TYPE_CHECKING:
    from discontrolface.editing.person import Person
    from discontrolface.editing.reading import Reader
    from discontrolface.evaluation.arcface import ArcFace
    from discontrolface.evaluation.identity import IdentityModel
    from discontrolface.evaluation.lpips import Lpips
    from discontrolface.evaluation.trials import Trial
    from discontrolface.face.landmarks import Landmarks

Array = NDArray[np.float32]
Estimates = dict[str, float | None]
Face = tuple[NDArray[np.uint8], "Landmarks"]  # a picture and the landmarks in it

HIDDEN_BELOW = 0.5  # visibility: what the photo did not show
HIDDEN_SHARE = 0.001  # of the crop; a smaller disoccluded part is not measured
BEST_PSNR = 100.0  # dB, for equal pictures
MARGIN = 3  # pixels to all sides, corners too, from which the crop's resampling reads (measured on crops at any angle; 2 are not enough)


@dataclass(frozen=True)
class Metric:
    """A figure: what its column is called, its unit, whether less is better, and the section that it belongs to."""

    label: str
    unit: str
    less: bool
    section: str


TRUTH, READ, PERSON, STAYS = "Against the true picture", "Read again", "The same person", "What should have stayed"

METRICS: Final[Mapping[str, Metric]] = {
    "psnr": Metric("PSNR", f"dB, at most {BEST_PSNR:g}", False, TRUTH),
    "ssim": Metric("SSIM", "", False, TRUTH),
    "ms_ssim": Metric("MS-SSIM", "", False, TRUTH),
    "mse": Metric("error", "squared, colours in [-1, 1], x 1000", True, TRUTH),
    "lpips": Metric("LPIPS", "", True, TRUTH),
    "hidden_psnr": Metric("PSNR, hidden", f"dB, where the photo did not show it (visibility < {HIDDEN_BELOW})", False, TRUTH),
    "hidden_ssim": Metric("SSIM, hidden", "", False, TRUTH),
    "hidden_mse": Metric("error, hidden", "as error", True, TRUTH),
    "mask_mse": Metric("error, in the mask", "as error, where the edit may change the photo", True, TRUTH),
    "identity_truth": Metric("dlib distance, truth", "to the true picture; 0.6: dlib's bound for the same person", True, TRUTH),
    "arcface_truth": Metric("ArcFace cosine, truth", "to the true picture", False, TRUTH),
    "found": Metric("face found", "share", False, READ),
    "head": Metric("head", "degrees", True, READ),
    "yaw": Metric("yaw", "degrees", True, READ),
    "pitch": Metric("pitch", "degrees", True, READ),
    "roll": Metric("roll", "degrees", True, READ),
    "gaze": Metric("gaze", "degrees", True, READ),
    "expression": Metric("expression", "root mean square over the actions (0 to 1)", True, READ),
    "blendshapes": Metric("blendshapes", "mean absolute difference of the 52 (0 to 1) that the blendshape network reads", True, READ),
    "smile": Metric("smile", "difference of what that network reads, mean of both sides", True, READ),
    "shape": Metric("shape", "root mean square, standard deviations", True, READ),
    "light": Metric("light", "root mean square, share of the even light", True, READ),
    "landmarks": Metric("landmarks", "% of the face's width", True, READ),
    "identity": Metric("dlib distance", "to the source; 0.6: dlib's bound for the same person", True, PERSON),
    "arcface": Metric("ArcFace cosine", "to the source", False, PERSON),
    "still": Metric(
        "crop, off the head", "mean absolute difference, levels of 255, where the warp moves and relights nothing", True, STAYS
    ),
    "outside": Metric("crop, outside the mask", "pixels that differ", True, STAYS),
}


def truth_estimates(picture: Array, truth: Array, visibility: Array, mask: Array) -> Estimates:
    """Pictures (H, W, 3) in [0, 1], visibility and the edit's mask (H, W). None where something is too small to be measured."""
    hidden = visibility < HIDDEN_BELOW
    square = 4000 * (picture - truth).astype(np.float64) ** 2
    out: Estimates = {
        "psnr": min(psnr(picture, truth), BEST_PSNR),
        "ssim": ssim(picture, truth),
        "ms_ssim": ms_ssim(picture, truth) if min(truth.shape[:2]) >= MS_SSIM_SIDE else None,
        "mse": float(square.mean()),
        "mask_mse": float(square[mask > 0].mean()) if (mask > 0).any() else None,
    }
    if hidden.mean() < HIDDEN_SHARE:
        return out | dict.fromkeys(("hidden_psnr", "hidden_ssim", "hidden_mse"))
    return out | {
        "hidden_psnr": min(psnr(picture, truth, hidden), BEST_PSNR),
        "hidden_ssim": ssim(picture, truth, hidden),
        "hidden_mse": float(square[hidden].mean()),
    }


def reached(where: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """(size, size): pixels of the crop that a region (S, S) of the fine crop can reach through resampling."""
    share = resize_planes(where[..., None].astype(np.float32), size, Image.Resampling.BOX)[..., 0]
    return np.asarray(binary_dilation(share > 0, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), bool)))


def still_region(trial: Trial) -> NDArray[np.bool_]:
    """(S, S) where the warp changes nothing, to the bit: no head before or after the edit. Specks of equal colour on the head do not count."""
    edit = trial.edit
    changed = (edit.fine.image != to_float(edit.fine_crop.image)).any(-1)
    return np.asarray(binary_opening(~reached(changed, edit.size), np.ones((5, 5), bool)))


def still_error(picture: NDArray[np.uint8], trial: Trial) -> float | None:
    """Mean absolute difference to the source in levels of 255 where nothing should change; None where that is less than a thousandth of the crop."""
    where = still_region(trial)
    if where.mean() < HIDDEN_SHARE:
        return None
    return float(np.abs(picture.astype(np.float64) - trial.source)[where].mean())


def outside_difference(picture: NDArray[np.uint8], trial: Trial) -> int:
    """Pixels of the crop outside the edit's mask that differ from the photo. 0 is what `Editor.edit` promises.

    What lies beyond the photo's border is none of its pixels: it mirrors the photo and takes its median colour, so it changes with the edit.
    """
    crop = trial.edit.person.crop.resize(trial.edit.size)
    may_change = reached(trial.edit.fine.mask > 0, trial.edit.size) | crop.beyond
    return int((picture != trial.source).any(-1)[~may_change].sum())


class Meter:
    """Measures pictures; its networks are loaded once."""

    def __init__(
        self, reader: Reader, identity: IdentityModel | None = None, arcface: ArcFace | None = None, lpips: Lpips | None = None
    ) -> None:
        self.reader, self.identity, self.arcface, self.lpips = reader, identity, arcface, lpips

    def trial(self, trial: Trial) -> TrialMeter:
        """For all the pictures of one edit: the source and the truth are read once."""
        return TrialMeter(self, trial)


class TrialMeter:
    """Measures the pictures that methods made of one edit."""

    def __init__(self, meter: Meter, trial: Trial) -> None:
        self.meter, self.trial = meter, trial
        self.source = trial.source
        self.person = read_picture(meter.reader, self.source)
        self.truth: Face | None = None  # with the landmarks that are found in it
        self.asked = None if self.person is None else self._asked(self.person)

    def _asked(self, person: Person) -> Look | None:
        reader, edit, truth = self.meter.reader, self.trial.edit, self.trial.truth
        if truth is not None:
            picture = to_uint8(truth)
            true = read_picture(reader, picture, person)
            if true is None:
                return None
            self.truth = picture, true.landmarks
            return look_of(reader, true)
        # held to itself: what reading again changes of its own accord is then no error of the edit
        again = read_picture(reader, self.source, person)
        if again is None:
            return None
        return changed_look(look_of(reader, again), edit.person.parameters, edit.target, reader.geometry, edit.size)

    def measure(self, picture: NDArray[np.uint8]) -> Estimates:
        """All estimates of one finished picture (S, S, 3), by the names of METRICS; None: cannot be measured here."""
        trial = self.trial
        out: Estimates = dict.fromkeys(METRICS)
        if trial.truth is not None:
            out |= truth_estimates(to_float(picture), trial.truth, trial.edit.preview.visibility, trial.edit.preview.mask)
            if self.meter.lpips is not None:
                out["lpips"] = self._lpips(self.meter.lpips, to_float(picture), trial.truth)
        out["still"] = still_error(picture, trial)
        if trial.on_photo:
            out["outside"] = outside_difference(picture, trial)
        if self.asked is not None and self.person is not None:
            out |= self._read(picture, self.person, self.asked)
        return {name: None if value is None else round(float(value), 6) for name, value in out.items()}

    def _lpips(self, network: Lpips, picture: Array, truth: Array) -> float:
        import torch

        with torch.no_grad():
            return float(network(to_network(picture), to_network(truth))[0])

    def _read(self, picture: NDArray[np.uint8], source: Person, asked: Look) -> Estimates:
        again = read_picture(self.meter.reader, picture, source)
        if again is None:
            return {"found": 0.0}
        out: Estimates = {"found": 1.0, **look_errors(look_of(self.meter.reader, again), asked)}
        face = picture, again.landmarks
        if self.meter.identity is not None:
            # without jitter: that depends on what was measured before, and a run that was interrupted would give other figures
            embedding = self.meter.identity.embedding(*face, jitters=0)
            out |= {name: float(np.linalg.norm(embedding - known)) for name, known in self.embeddings.items()}
        if self.meter.arcface is not None:
            out["arcface"] = self.meter.arcface.similarity(face, (self.source, source.landmarks))
            if self.truth is not None:
                out["arcface_truth"] = self.meter.arcface.similarity(face, self.truth)
        return out

    @cached_property
    def embeddings(self) -> dict[str, NDArray[np.float64]]:
        """dlib's, of what pictures are held against: {metric: (128,)}."""
        known: dict[str, Face] = {} if self.person is None else {"identity": (self.source, self.person.landmarks)}
        if self.truth is not None:
            known["identity_truth"] = self.truth
        return (
            {} if self.meter.identity is None else {name: self.meter.identity.embedding(*face, jitters=0) for name, face in known.items()}
        )


def checked_picture(picture: NDArray[np.uint8], size: int, method: str) -> NDArray[np.uint8]:
    """A method's picture, (size, size, 3) uint8. UserError for another shape or type."""
    if picture.shape != (size, size, 3) or picture.dtype != np.uint8:
        raise UserError(f"method {method!r} returned a picture {picture.shape} of {picture.dtype}; ({size}, {size}, 3) uint8 is wanted")
    return picture
