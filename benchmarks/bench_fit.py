"""Accuracy and times of the fit on one core: python benchmarks/bench_fit.py [PHOTO] [--runs 20] [--overlay OUT.png]

Without a photo: examples/astronaut.png. Targets: landmark error at most 1 % of the face width, fit at most 300 ms after warm-up.
The second part draws random faces, moves their landmarks by half a pixel of 256, and says how far what is read is off.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import median_ms

from discontrolface.face.crop import landmarks_in_crop, make_crop
from discontrolface.face.fit import FaceReading, fit_landmarks, read_face
from discontrolface.face.fit_light import fit_light
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.landmark_basis import LandmarkBasis
from discontrolface.face.landmarks import FaceLandmarker
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.cameras import ndc_to_pixels, project
from discontrolface.geometry.rotations import head_rotation, to_axis_angle
from discontrolface.render.snapshot import render_snapshot

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.png"
SIZE = 256


def photo(path: Path, head: HeadModel, runs: int, overlay: Path | None) -> None:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    landmarks = FaceLandmarker().find_face(pixels)
    crop = make_crop(pixels, landmarks, SIZE)
    points, iris, eyes = landmarks_in_crop(crop, landmarks)
    picture = np.asarray(crop.image, np.float32) / 255

    def read() -> FaceReading:
        return read_face(picture, points, head, iris, eyes=eyes)

    face, report = read()
    basis = LandmarkBasis.of(head)
    print(
        f"{path.name}: landmark error {report.mean_pixels:.2f} px of {SIZE}, {report.mean_percent:.2f} % of the face width "
        f"(target 1), worst {report.worst_pixels:.1f} px, {report.iterations} iterations"
    )
    print(f"  yaw {face.yaw:.1f}, pitch {face.pitch:.1f}, roll {face.roll:.1f}, gaze {face.gaze[0]:.1f} {face.gaze[1]:.1f} degrees")
    print("  " + ", ".join(f"{name} {value:.2f}" for name, value in face.expression_dict(0.1).items()))
    print(f"  gather the basis      {median_ms(lambda: LandmarkBasis.of(head), runs):6.1f} ms")
    print(f"  fit the landmarks     {median_ms(lambda: fit_landmarks(points, basis, SIZE, iris, eyes=eyes), runs):6.1f} ms")
    print(f"  fit light and colours {median_ms(lambda: fit_light(picture, head, face), runs):6.1f} ms")
    print(f"  read_face, all of it  {median_ms(read, runs):6.1f} ms (target 300)")
    if overlay is not None:
        drawn, mask = draw(face, head)
        half = np.where(mask, 0.5 * picture + 0.5 * drawn, picture)
        Image.fromarray((np.concatenate([picture, np.where(mask, drawn, picture), half], 1) * 255).round().astype(np.uint8)).save(overlay)
        print(f"  overlay: {overlay}")


def draw(face: FaceParameters, head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """The head in its colours and light (SIZE, SIZE, 3) in [0, 1], and where it is (SIZE, SIZE, 1)."""
    tensors = face.tensors()
    vertices = head(tensors["shape"], tensors["expression"], tensors["pose"]).vertices
    albedo = tensors["albedo"][:, head.region.astype(int)]
    snapshot = render_snapshot(vertices, head.faces_tensor, tensors["camera"], tensors["light"], albedo, SIZE, ("lambertian",))
    return (snapshot.image[0].permute(1, 2, 0).numpy() + 1) / 2, snapshot.mask[0, 0, :, :, None].numpy() > 0


def round_trips(head: HeadModel, count: int) -> None:
    rng = np.random.default_rng(0)
    basis = LandmarkBasis.of(head)
    wishes = ["jawOpen", "smile", "blink", "pucker", "browsUp", "browsDown", "frown", "stretch"]
    angles: list[list[float]] = []
    actions: dict[str, list[float]] = {}
    for _ in range(count):
        face = FaceParameters.default(head).with_(shape=(rng.normal(size=head.shape_count) * 0.8).clip(-3, 3))
        face = face.edit(expression={name: float(rng.uniform(0.2, 1)) for name in rng.choice(wishes, 2, replace=False)})
        pose = face.pose.copy()
        pose[0] = to_axis_angle(head_rotation(rng.uniform(-40, 40), rng.uniform(-20, 20), rng.uniform(-20, 20)))
        tensors = face.with_(pose=pose).tensors()
        points = head(tensors["shape"], tensors["expression"], tensors["pose"]).landmarks_2d
        face = face.with_(pose=pose, camera=np.array([8.0, *(-points[0].mean(0)[:2].numpy())]))
        seen = ndc_to_pixels(project(points, face.tensors()["camera"]), SIZE, SIZE)[0].numpy() + rng.normal(size=(468, 2)) * 0.5
        fit = fit_landmarks(seen, basis, SIZE)
        read = face.with_(shape=fit.shape, expression=fit.expression, pose=fit.pose, camera=fit.camera)
        angles.append([abs(read.yaw - face.yaw), abs(read.pitch - face.pitch), abs(read.roll - face.roll)])
        true, got = face.expression_dict(), read.expression_dict()
        for name in true:
            if true[name] > 0.05:
                actions.setdefault(name, []).append(abs(got[name] - true[name]))
    mean, worst = np.mean(angles, 0), np.max(angles, 0)
    print(f"{count} random faces, half a pixel of noise, mean (worst) error:")
    print("  " + ", ".join(f"{n} {a:.1f} ({b:.1f})" for n, a, b in zip(("yaw", "pitch", "roll"), mean, worst, strict=True)) + " degrees")
    print("  " + ", ".join(f"{name} {np.mean(errors):.2f} ({max(errors):.2f})" for name, errors in actions.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=ASTRONAUT)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--faces", type=int, default=60, help="random faces of the second part")
    parser.add_argument("--overlay", type=Path, help="write the photo, the fitted head, and both on top of each other")
    args = parser.parse_args()
    torch.set_num_threads(1)
    head = HeadModel.open()
    photo(args.photo, head, args.runs, args.overlay)
    round_trips(head, args.faces)


if __name__ == "__main__":
    main()
