"""Find a face and its 468 landmarks: MediaPipe's published models on LiteRT, with our own pre- and postprocessing.

photo -> BlazeFace (192 px; the whole photo at four angles, then tiles: face_search.py) -> box, 6 keypoints, confirmed by a first mesh (192 px)
      -> square region of interest, eyes level -> face mesh (256 px) -> 468 points and 5 of each iris -> a tighter region -> the mesh again
      -> blendshape network -> 52 coefficients (blendshape_network.py); of eyes that are not open alike, each by itself (each_eye.py).

Models: "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (2019), "Attention Mesh: High-fidelity Face Mesh Prediction in
Real-time" (2020), MediaPipe's "Blendshape V2" (2022).
Coordinates are continuous photo pixels, a pixel's centre at +0.5 (docs/conventions.md).
"""

import math
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.face import each_eye
from discontrolface.face.blendshape_network import NAMES, BlendshapeNetwork
from discontrolface.face.face_search import SURE, resolved, search
from discontrolface.face.landmark_sets import LEFT_EYE, LEFT_EYE_CORNERS, LIPS_INNER, LIPS_OUTER, NOSE_TIP, RIGHT_EYE, RIGHT_EYE_CORNERS
from discontrolface.face.lips import EYES
from discontrolface.face.litert import load_model
from discontrolface.face.pyramid import Pyramid
from discontrolface.face.regions_of_faces import DETECTOR_SIZE, ROI_MARGIN, Face, Region, face_of, merge, mesh_region, overlap
from discontrolface.geometry.affine import apply_affine, invert_affine, sample_affine

MESH = 468  # landmarks of the mesh; five of each iris follow
MESH_SIZE = 256
JUDGE_SIZE = 192
MIN_FACE_SCORE = 0.5  # of a mesh model: is there a face in the region at all
MIN_CONFIRMATION = 0.6  # product of the judge's scores of two passes: faces have 0.9 and more, false alarms are rarely sure twice
MAX_SIZE_ERROR = 1.4  # side of the detector's box / side of the mesh, or the other way round, beyond which the mesh is believed
MAX_DISAGREEMENT = 0.2  # mean distance of the detector's and the mesh's eyes, nose and mouth / side of the face box
FLAT = 8  # levels of 256
LOST = 3.0  # unsteadiness from which the face is looked for at other angles
STEADIER = 0.6  # what another angle must have of it
TURN = math.radians(20)  # of the region, to see how steady the landmarks are
LOOK_TURN = math.radians(10)  # of the region, either way, in which a frame of a clip is looked at again


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of one face in photo pixels.

    points: (468, 3) float32; z in the same scale, smaller is nearer, 0 about the centre of the head.
    score: [0, 1], that the region holds a face.
    iris: (2, 5, 2) float32 or None; [0] is the subject's left eye, [1] the right one; the centre, then four points of the
        border of the iris (the picture's right, top, left, bottom).
    blendshapes: (52,) float32 in [0, 1] or None; what the blendshape network makes of all these (of lids that are not alike: see each_eye.py), in the
        order of `blendshape_network.NAMES`, as it says it (fit_expression.py says how far it is believed).
    detection: [0, 1], the detector's score of the face, or None where it was not asked.
    unsteadiness: how far the points move when they are looked for in a region that is turned in the picture, percent of the face's size, the mean
        over two turns; or None where that was not asked. Live faces have 0.7 to 1.4, in three-quarter view up to 2.2.
    mouth_unsteadiness: the same of the lips' points against the eyes'. Live mouths 0.3 to 2.2, what is taken for one 1 to 5.
    """

    points: NDArray[np.float32]
    score: float
    iris: NDArray[np.float32] | None = None
    blendshapes: NDArray[np.float32] | None = None
    detection: float | None = None
    unsteadiness: float | None = None
    mouth_unsteadiness: float | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 around the points, in photo pixels."""
        (x0, y0), (x1, y1) = self.points[:, :2].min(axis=0), self.points[:, :2].max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    @property
    def face_size(self) -> float:
        """The larger side of the face in pixels, measured with the eyes level (`fit.face_width` is its width)."""
        return mesh_region(self.points).side / ROI_MARGIN


class FaceLandmarker:
    """BlazeFace, both face meshes and the blendshape network, loaded once. Safe to share between threads: they take turns at the models, which are
    LiteRT's and not safe themselves; what lies between two models runs at once. The first one of a process makes LiteRT write a line to
    standard error, which it has no switch for."""

    def __init__(self, num_threads: int = 1) -> None:
        self._lock = threading.Lock()
        self._detector = load_model("face_detection_full_range_sparse.tflite", num_threads)
        self._judge = load_model("face_landmark.tflite", num_threads)
        self._mesh = load_model("face_landmarks_detector.tflite", num_threads)
        self._blendshapes = BlendshapeNetwork(num_threads)
        centres = (np.arange(DETECTOR_SIZE // 4) + 0.5) * 4  # one anchor per cell of 4 pixels
        self._anchors = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2).astype(np.float32)

    # ---- detection

    def detect(self, image: NDArray[np.uint8], enough: int | None = None, least: float = 0.0) -> list[Face]:
        """The faces of a photo (H, W, 3) uint8 RGB, largest first; [] when there is none. enough: how many are wanted, the largest; None: all. least:
        see `face_search.search`.

        Every face of 24 pixels or more, at any angle, in one order: `face_search.py` says how. Smaller ones as they are seen, down to 16.
        """
        return search(self, Pyramid(_as_rgb(image)), enough, least)

    def proposals(self, photo: Pyramid, view: Region, threshold: float) -> list[Face]:
        """What the detector takes for faces in a view, from this score on; what overlaps is merged."""
        to_photo = view.to_photo(DETECTOR_SIZE)
        pixels = photo.sample(to_photo, DETECTOR_SIZE, black=True)
        if _flat(pixels):
            return []
        with self._lock:
            raw, logits = _run(self._detector, pixels, 1 / 127.5, -1.0)
        scores = _sigmoid(logits[0, :, 0])
        keep = np.nonzero(scores > threshold)[0]
        values = raw[0, keep].reshape(-1, 8, 2)  # centre, size, 6 keypoints; positions relative to the anchor
        positions = values + self._anchors[keep, None]
        centre = apply_affine(to_photo, positions[:, 0])
        half = np.abs(values[:, 1]) * (view.side / DETECTOR_SIZE) / 2
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        merged = merge(boxes, apply_affine(to_photo, positions[:, 2:]), scores[keep])
        return [face_of(box, points, score) for box, points, score in merged]

    def confirmed(self, photo: Pyramid, face: Face) -> Face | None:
        """MediaPipe's first face mesh must see a face, twice, and put eyes, nose and mouth where the detector put them. (The mesh that landmarks
        are read with is surer of itself: it sees faces in ears.) It also says how large the face is; where the detector was far off with that,
        the mesh's region replaces the detector's."""
        points, score = self._judged(photo, face.region)
        eyes = [points[list(corners), :2].mean(axis=0) for corners in (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)]
        mesh = np.stack([*eyes, points[NOSE_TIP, :2], points[[13, 14], :2].mean(axis=0)])
        distance = float(np.hypot(*(mesh - face.keypoints[:4]).T).mean()) / (face.region.side / ROI_MARGIN)
        if score < MIN_FACE_SCORE or distance > MAX_DISAGREEMENT:
            return None
        region = mesh_region(points)
        points, again = self._judged(photo, region)
        if score * again <= MIN_CONFIRMATION:
            return None
        region = mesh_region(points)
        sized = replace(face, size=region.side / ROI_MARGIN)
        if max(face.region.side / region.side, region.side / face.region.side) < MAX_SIZE_ERROR:
            return sized
        half = sized.size / 2
        return replace(sized, region=region, box=(region.x - half, region.y - half, region.x + half, region.y + half))

    # ---- landmarks

    def landmarks(self, image: NDArray[np.uint8], face: Face | Region, passes: int = 2, of_clip: bool = False) -> Landmarks:
        """The landmarks of one face of a photo (H, W, 3) uint8 RGB, and what the blendshape network makes of them.

        passes: how often the mesh model runs; from the second time on in the region that the points of the time before span
        (what MediaPipe does from one video frame to the next). of_clip: this is a frame of a clip, where landmarks that tremble would be seen: they
        are the mean of several looks (but for lids that are not alike).
        """
        image = _as_rgb(image)
        region = face.region if isinstance(face, Face) else face
        every, score = self._settled(image, region, passes)
        unsteadiness, of_mouth = self._unsteadiness(image, every[:MESH])
        if unsteadiness > LOST:  # often the region has the wrong angle: upright faces were read upside down
            for angle in (0.0, *(region.angle + turn for turn in (math.pi, math.pi / 2, -math.pi / 2))):
                other, sure = self._settled(image, replace(region, angle=angle), passes)
                again, of_other = self._unsteadiness(image, other[:MESH])
                if again < STEADIER * unsteadiness and sure > MIN_FACE_SCORE:
                    every, score, unsteadiness, of_mouth = other, sure, again, of_other
        if of_clip:
            every = self._looked_at_again(image, every)
        every, blendshapes = self._each_eye(image, every, self._expression(every))
        iris = np.stack([every[MESH + 5 :, :2], every[MESH : MESH + 5, :2]])
        detection = face.score if isinstance(face, Face) else None
        return Landmarks(every[:MESH], score, iris, blendshapes, detection, unsteadiness, of_mouth)

    def _settled(self, image: NDArray[np.uint8], region: Region, passes: int) -> tuple[NDArray[np.float32], float]:
        """Points (478, 3) in the photo and score after so many passes, each in the region of the one before."""
        every, score = self._mesh_pass(image, region)
        for _ in range(passes - 1):
            every, score = self._mesh_pass(image, mesh_region(every[:MESH]))
        return every, score

    def _looked_at_again(self, image: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points (478, 3) in the photo: the mean of these and of those found in the region turned a little, either way.

        What the mesh model is off by depends on where a face lies in its region, so the errors of several looks cancel in part."""
        region = mesh_region(points[:MESH])
        turned = [self._mesh_pass(image, replace(region, angle=region.angle + turn))[0] for turn in (LOOK_TURN, -LOOK_TURN)]
        return np.mean([points, *turned], axis=0, dtype=np.float32)

    def _expression(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the blendshape network makes of points (478, 3): (52,)."""
        with self._lock:
            return self._blendshapes(points)

    def _each_eye(
        self, image: NDArray[np.uint8], points: NDArray[np.float32], blendshapes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points (478, 3) in the photo and blendshapes (52,). Of eyes that are not open alike, each one's are found beside its mirror image
        (`each_eye.py`)."""
        share = each_eye.unlikeness(points, (image.shape[1], image.shape[0]))
        if share == 0:
            return points, blendshapes
        region = mesh_region(points[:MESH])
        to_photo = region.to_photo(MESH_SIZE)
        pixels = sample_affine(image, to_photo, (MESH_SIZE, MESH_SIZE))
        inside = apply_affine(invert_affine(to_photo), points[:, :2])
        points_out, blendshapes_out = points.copy(), blendshapes.copy()
        for eye in each_eye.EYES:
            found, _ = self._meshed(self._mesh, each_eye.with_mirror_image(pixels, inside, eye), region)
            own, said = [*eye.ring, *eye.lids], [NAMES.index(name) for name in eye.blendshapes]
            points_out[own] += share * (found[own] - points[own])
            blendshapes_out[said] += share * (self._expression(found)[said] - blendshapes[said])
        return points_out, blendshapes_out

    def _unsteadiness(self, image: NDArray[np.uint8], points: NDArray[np.float32]) -> tuple[float, float]:
        """Of all points, and of the mouth's, see `Landmarks`.

        Of a live face the mesh model finds nearly the same points again; what it takes for a face only, it takes otherwise."""
        region = mesh_region(points)
        turned = [self._mesh_pass(image, replace(region, angle=region.angle + turn))[0][:MESH] for turn in (TURN, -TURN)]
        moved = np.stack([(other - points)[:, :2] for other in turned])  # (2, N, 2)
        mouth = moved[:, [*LIPS_OUTER, *LIPS_INNER]] - moved[:, list(EYES)].mean(axis=1, keepdims=True)
        percent = 100 / (region.side / ROI_MARGIN)
        return float(percent * np.hypot(*moved.T).mean()), float(percent * np.hypot(*mouth.T).mean())

    def _judged(self, photo: Pyramid, region: Region) -> tuple[NDArray[np.float32], float]:
        """The first mesh's points (468, 3) in the photo, and how surely it sees a face."""
        return self._meshed(self._judge, photo.sample(region.to_photo(JUDGE_SIZE), JUDGE_SIZE), region)

    def _mesh_pass(self, image: NDArray[np.uint8], region: Region) -> tuple[NDArray[np.float32], float]:
        """Points (478, 3) in the photo, the right iris and the left one last, and how surely there is a face."""
        return self._meshed(self._mesh, sample_affine(image, region.to_photo(MESH_SIZE), (MESH_SIZE, MESH_SIZE)), region)

    def _meshed(self, model: Any, pixels: NDArray[np.uint8], region: Region) -> tuple[NDArray[np.float32], float]:
        """A mesh model's points (N, 3) in the photo and score, of the pixels (S, S, 3) of a region."""
        with self._lock:
            raw, logit = _run(model, pixels, 1 / 255, 0.0)
        values, size = raw.reshape(-1, 3), len(pixels)
        points = np.concatenate([apply_affine(region.to_photo(size), values[:, :2]), values[:, 2:] * (region.side / size)], axis=1)
        return points.astype(np.float32), float(_sigmoid(logit.ravel())[0])

    # ---- the one call that most callers want

    def find_face(
        self,
        image: NDArray[np.uint8],
        index: int | None = None,
        box: tuple[float, float, float, float] | None = None,
        source: str = "the photo",
        of_clip: bool = False,
    ) -> Landmarks:
        """The landmarks of one face of a photo (H, W, 3) uint8 RGB: the largest, the `index`-th largest (from 0), or the one in
        `box` (x0, y0, x1, y1 in pixels). source: the photo's name for messages. of_clip: see `landmarks`.

        Raises UserError when there is no such face.
        """
        image = _as_rgb(image)
        height, width = image.shape[:2]
        if box is not None:
            return self._face_in_box(image, box, source, of_clip)
        chosen = 0 if index is None else index
        faces = self.detect(image, enough=max(chosen, 0) + 1)
        if not faces:
            raise no_face((width, height), source)
        if not 0 <= chosen < len(faces):
            raise no_such_face(chosen, len(faces), source)
        return self.landmarks(image, faces[chosen], of_clip=of_clip)

    def _face_in_box(self, image: NDArray[np.uint8], box: tuple[float, float, float, float], source: str, of_clip: bool) -> Landmarks:
        height, width = image.shape[:2]
        x0, y0, x1, y1 = box
        shown = ",".join(f"{v:g}" for v in box)
        inside = all(map(math.isfinite, box)) and x1 - x0 >= 8 and y1 - y0 >= 8 and x1 > 0 and y1 > 0 and x0 < width and y0 < height
        if not inside:
            raise UserError(
                f"face box {shown} is not a part of {source} ({width}x{height}); give left,top,right,bottom in pixels, 8 or more apart"
            )
        side = max(x1 - x0, y1 - y0)
        centre = ((x0 + x1) / 2, (y0 + y1) / 2)
        turns = [math.radians(turn) for turn in (0, 90, 270, 180, 45, 315, 135, 225)]
        asked = np.array([box])
        candidates: list[Region] = []
        photo = Pyramid(image)
        for turn in turns:
            view = Region(*centre, 2 * side, turn)
            seen = [resolved(self, photo, face, view) for face in self.proposals(photo, view, SURE)]
            candidates = [face.region for face in seen if face is not None and overlap(np.array(face.box), asked)[0] > 0.1]
            if candidates:
                break
        candidates += [Region(*centre, ROI_MARGIN * side, turn) for turn in turns]  # the detector sees none: take the box's word
        for candidate in candidates:
            found = self.landmarks(image, candidate, of_clip=of_clip)
            if found.score > MIN_FACE_SCORE and overlap(np.array(found.box), asked)[0] > 0.1:
                return found
        raise UserError(f"no face found in the box {shown} of {source} ({width}x{height}); draw the box from brow to chin")


# ---- parts of the above that need no model


def no_face(size: tuple[int, int], source: str) -> UserError:
    """What to say when a photo of this size (width, height) shows none."""
    return UserError(f"no face found in {source} ({size[0]}x{size[1]}); try --face-box or a larger face")


def no_such_face(number: int, count: int, source: str) -> UserError:
    """What to say when a photo shows faces, but not as many."""
    found = "1 face was" if count == 1 else f"{count} faces were"
    return UserError(f"there is no face {number} in {source}: {found} found, numbered from 0 (largest) to {count - 1}")


def _run(interpreter: Any, pixels: NDArray[np.uint8], scale: float, shift: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run a model of one input, and give its first two outputs, on scale * picture + shift, picture (H, W, 3)."""
    values = pixels[None].astype(np.float32) * np.float32(scale) + np.float32(shift)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    first, second = interpreter.get_output_details()[:2]
    return interpreter.get_tensor(first["index"]), interpreter.get_tensor(second["index"])


def _as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an (H, W, 3) uint8 picture, got shape {image.shape}, {image.dtype}")
    return image


def _flat(pixels: NDArray[np.uint8]) -> bool:
    """Whether a view shows nothing: no two neighbouring cells of 4x4 pixels differ by FLAT levels, as the parts of any face do."""
    cells = np.asarray(Image.fromarray(pixels).convert("L").reduce(4)).astype(np.int16)
    return bool(max(np.abs(np.diff(cells, axis=0)).max(), np.abs(np.diff(cells, axis=1)).max()) < FLAT)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -80, 80)))


def eye_opening(landmarks: Landmarks) -> tuple[float, float]:
    """Height of the lid opening over the distance of the eye's corners, subject's left and right: about 0 shut, 0.3 open."""
    opening = []
    for ring in (LEFT_EYE, RIGHT_EYE):
        eye = landmarks.points[list(ring), :2]
        lower, upper = eye[[3, 4, 5]].mean(axis=0), eye[[11, 12, 13]].mean(axis=0)
        opening.append(float(np.hypot(*(upper - lower)) / max(np.hypot(*(eye[8] - eye[0])), 1e-6)))
    return opening[0], opening[1]
