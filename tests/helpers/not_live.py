"""Pictures of faces that are no live people: cartoons, statues, paintings, screens. All are made here, each seed another one."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.rotations import head_rotation, to_axis_angle
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene

SIDE = 512


def clouds(rng: np.random.Generator, side: int, cells: int) -> np.ndarray:
    """(side, side) smooth noise of mean 0 and deviation 1, blobs of side / cells pixels."""
    small = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    values = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))
    return (values - values.mean()) / values.std()


def cartoon(seed: int) -> Image.Image:
    """A face of ellipses with black outlines: hair, large eyes, brows, a nose of one stroke, a mouth."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(120, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    skin = [(255, 219, 172), (241, 194, 125), (224, 172, 105), (198, 134, 66), (141, 85, 36), (255, 224, 60)][seed % 6]
    hair = [(30, 20, 15), (90, 50, 20), (220, 180, 80), (160, 40, 30)][seed % 4]
    line = (25, 20, 20)

    def oval(x: float, y: float, a: float, b: float, fill: tuple[int, int, int], width: int = 5) -> None:
        pen.ellipse((x - a, y - b, x + a, y + b), fill=fill, outline=line, width=width)

    wide, tall = rng.uniform(115, 150), rng.uniform(145, 180)
    oval(256, 225, wide + 22, tall + 12, hair)
    pen.rectangle((226, 380, 286, 512), fill=skin, outline=line, width=5)
    oval(256, 265, wide, tall, skin)
    pen.chord((256 - wide, 265 - tall - 10, 256 + wide, 265 - tall + 130), 180, 360, fill=hair, outline=line, width=5)
    apart, eye = wide * rng.uniform(0.38, 0.48), rng.uniform(18, 36)
    for side in (-1, 1):
        x = 256 + side * apart
        oval(x, 235, eye, eye * rng.uniform(0.7, 1.3), (255, 255, 255), 4)
        oval(x, 237, eye * 0.5, eye * 0.5, tuple(rng.integers(20, 160, 3).tolist()), 2)
        oval(x, 237, eye * 0.22, eye * 0.22, (0, 0, 0), 1)
        pen.arc((x - eye - 6, 190, x + eye + 6, 230), 200, 340, fill=line, width=8)
        oval(256 + side * wide, 262, 16, 30, skin)
    pen.line([(256, 255), (256 - rng.uniform(8, 20), 300), (262, 304)], fill=line, width=5, joint="curve")
    if seed % 2:
        pen.arc((206, 290, 306, 365), 20, 160, fill=line, width=7)
    else:
        pen.chord((206, 300, 306, 375), 0, 180, fill=(170, 30, 40), outline=line, width=5)
        pen.rectangle((222, 338, 290, 350), fill=(255, 255, 255))
    return picture


def statue(seed: int, geometry: Geometry, garden: bool = False) -> Image.Image:
    """A head of stone: the head model in one colour, eyes and lips too, veined and grained, under one lamp, before a plain dark wall, or a garden."""
    rng = np.random.default_rng([seed, 7])
    head = geometry.head
    face = FaceParameters.default(head)
    pose = np.zeros_like(face.pose)
    pose[0] = to_axis_angle(head_rotation(rng.uniform(-20, 20), rng.uniform(-8, 8)))
    face = face.with_(shape=rng.standard_normal(head.shape_count) * 0.9, pose=pose)
    seen = geometry.snapshot(face, SIDE, ("normals",)).image[0].permute(1, 2, 0).numpy()
    solid = np.abs(seen).sum(-1) > 0
    lamp = np.array([rng.uniform(-0.8, 0.8), rng.uniform(0.2, 0.8), 0.7])
    shade = 0.3 + 0.75 * np.clip(seen @ (lamp / np.linalg.norm(lamp)), 0, 1)
    stone = 1 + 0.05 * clouds(rng, SIDE, 12) + 0.04 * clouds(rng, SIDE, 90) + 0.04 * rng.standard_normal((SIDE, SIDE))
    vein = np.exp(-((clouds(rng, SIDE, 6) / 0.06) ** 2)) * 0.12
    colour = np.array([[0.78, 0.77, 0.74], [0.62, 0.6, 0.55], [0.55, 0.45, 0.33]][seed % 3])  # marble, limestone, bronze
    body = (shade * stone - vein)[..., None] * colour
    wall = 0.16 + 0.02 * clouds(rng, SIDE, 4)[..., None] * np.ones(3)
    if garden:
        wall = np.array([0.25, 0.4, 0.15]) + 0.08 * clouds(rng, SIDE, 20)[..., None] * np.array([0.6, 1.0, 0.3])
    picture = np.where(solid[..., None], body, wall)
    return Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))


def portrait(seed: int) -> Image.Image:
    """A drawn portrait of a person, as training knows them: what paintings and screens here show."""
    scene = make_scene(HELD_OUT + 300 + seed)
    face = random_parameters(scene, np.random.default_rng(seed)).edit(yaw=8)
    picture = render_scene(scene, face, 384).image
    return Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def painting(photo: Image.Image, seed: int, stroke: int = 9) -> Image.Image:
    """A portrait in oil: strokes along the edges, few colours, varnish, canvas."""
    rng = np.random.default_rng([seed, 11])
    base = photo.convert("RGB").resize((SIDE, SIDE)).filter(ImageFilter.ModeFilter(stroke))
    source = np.asarray(base)
    picture = base.copy()
    pen = ImageDraw.Draw(picture)
    grey = np.asarray(base.convert("L").filter(ImageFilter.GaussianBlur(3)), float)
    down, right = np.gradient(grey)
    for width, count in ((stroke, 9000), (max(2, stroke // 3), 14000)):
        for y, x in rng.integers(0, SIDE, (count, 2)):
            along = math.atan2(down[y, x], right[y, x]) + math.pi / 2 + rng.normal(0, 0.25)
            reach = rng.uniform(0.8, 2.0) * width
            colour = np.clip(source[y, x] + rng.normal(0, 9, 3), 0, 255).astype(int)
            dx, dy = reach * math.cos(along), reach * math.sin(along)
            pen.line((x - dx, y - dy, x + dx, y + dy), fill=tuple(colour.tolist()), width=int(width * rng.uniform(0.4, 0.9)) + 1)
    weave = 4 * np.sin(np.arange(SIDE) * 2.1)
    aged = np.asarray(picture, float) * [1.0, 0.93, 0.76] + weave[:, None, None] + weave[None, :, None]
    return Image.fromarray(np.clip(aged, 0, 255).astype(np.uint8))


def screen(photo: Image.Image, seed: int) -> Image.Image:
    """A photo of a screen that shows a photo: red, green and blue stripes that beat with the camera's pixels, glare, keystone, bezel."""
    rng = np.random.default_rng([seed, 13])
    shown = np.asarray(photo.convert("RGB").resize((380, 380), Image.Resampling.LANCZOS), float)
    pitch = rng.uniform(2.6, 3.4)  # camera pixels a screen pixel
    rows, columns = np.indices((900, 900))
    stripe = np.stack([0.55 + 0.45 * np.cos(2 * math.pi * (columns / pitch - k / 3)) for k in range(3)], -1)
    stripe *= (0.8 + 0.2 * np.cos(2 * math.pi * rows / pitch))[..., None]
    large = np.asarray(Image.fromarray(shown.astype(np.uint8)).resize((900, 900), Image.Resampling.BILINEAR), float)
    frame = np.pad(large * stripe * [0.95, 1.0, 1.12], ((60, 60), (60, 60), (0, 0)), constant_values=14)
    tilt = rng.uniform(40, 120)
    target = [(60, 70), (840, 70 + tilt * 0.6), (840, 830 - tilt * 0.6), (60, 830)]
    system, values = [], []
    for (u, v), (x, y) in zip([(0, 0), (1020, 0), (1020, 1020), (0, 1020)], target, strict=True):
        system += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    warp = np.linalg.solve(np.array(system, float), np.array(values, float))
    seen = Image.fromarray(np.clip(frame, 0, 255).astype(np.uint8)).transform(
        (900, 900), Image.Transform.PERSPECTIVE, warp.tolist(), Image.Resampling.BILINEAR
    )
    glare = 130 * np.exp(-(((columns - rng.uniform(200, 700)) / 170) ** 2 + ((rows - rng.uniform(150, 500)) / 110) ** 2))
    return Image.fromarray(np.clip(np.asarray(seen, float) + glare[..., None] + rng.normal(0, 5, (900, 900, 3)), 0, 255).astype(np.uint8))
