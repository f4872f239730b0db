"""Things before a mouth, drawn onto pictures of faces: hands in the person's own skin colour, microphones, spoons, cups, phones, masks."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

HANDS: Final = ("fist", "fingers", "palm", "fingertips")
THINGS: Final = ("microphone", "foam microphone", "spoon", "cup", "phone", "mask", "apple")
Picture = NDArray[np.float64]


class Canvas:
    """A picture (H, W, 3) of levels, and a frame at its mouth: u to the subject's left, v down, a mouth's width the unit."""

    def __init__(self, image: NDArray[np.uint8], left: tuple[float, float], right: tuple[float, float]) -> None:
        self.picture = image.astype(np.float64)
        width = math.dist(left, right)
        rows, columns = np.indices(image.shape[:2]) + 0.5
        cos, sin = (right[0] - left[0]) / width, (right[1] - left[1]) / width
        dx, dy = columns - (left[0] + right[0]) / 2, rows - (left[1] + right[1]) / 2
        self.u, self.v, self.width = (dx * cos + dy * sin) / width, (dy * cos - dx * sin) / width, width

    def put(self, cover: Picture, colour: Picture) -> None:
        """Lay colours (H, W, 3) over the picture where a cover (H, W) is 1, its edge softened as a camera would."""
        soft = gaussian_filter(cover.astype(np.float64), max(0.5, 0.006 * self.width))[..., None]
        self.picture += soft * (colour - self.picture)

    def finger(self, start: tuple[float, float], end: tuple[float, float], radius: float, skin: Picture, lamp: float, nail: bool) -> None:
        """A capsule, lit like a cylinder, with a shadow beside it, creases across, and a nail at its end."""
        along = np.array(end) - start
        length = float(np.hypot(*along))
        axis = along / length
        t = np.clip((self.u - start[0]) * axis[0] + (self.v - start[1]) * axis[1], 0, length)
        side = (self.u - start[0]) * -axis[1] + (self.v - start[1]) * axis[0]
        far = np.hypot(self.u - start[0] - t * axis[0], self.v - start[1] - t * axis[1]) / radius
        self.picture *= 1 - 0.35 * np.exp(-(np.maximum(far - 1, 0) ** 2) / 0.03)[..., None] * (far >= 1)[..., None]
        shade = 0.72 + 0.33 * np.sqrt(np.clip(1 - far**2, 0, 1)) + 0.12 * lamp * side / radius
        for crease in (0.38, 0.42, 0.7):
            shade *= 1 - 0.12 * np.exp(-(((t - crease * length) / (0.03 * length)) ** 2))
        colour = skin * shade[..., None]
        if nail:
            tip = np.hypot((t - 0.93 * length) / 0.16, side / (0.6 * radius)) < 1
            colour = np.where(tip[..., None], colour * [1.06, 1.05, 1.06] + 10, colour)
        self.put(far < 1, colour)

    def finished(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """With the camera's noise."""
        return np.clip(self.picture + rng.normal(0, 1.5, self.picture.shape), 0, 255).astype(np.uint8)


def clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> Picture:
    """(H, W) smooth noise of deviation 1."""
    small = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    values = np.asarray(small.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float64)
    return values / values.std()


def with_hand(
    image: NDArray[np.uint8], corners: NDArray[np.floating], skin: NDArray[np.floating], kind: str, seed: int
) -> NDArray[np.uint8]:
    """image: (H, W, 3). corners: (2, 2) of the mouth in pixels. skin: (3,) levels of the person's skin. kind: one of HANDS."""
    rng = np.random.default_rng([seed, 3])
    canvas = Canvas(image, tuple(corners[0]), tuple(corners[1]))
    tint = np.array([1.0, rng.uniform(0.95, 1.02), rng.uniform(0.93, 1.02)])
    mottled = 1 + 0.03 * clouds(rng, image.shape, 24) + 0.03 * clouds(rng, image.shape, 90)
    tone = skin * tint * rng.uniform(0.85, 1.12) * mottled[..., None]
    lamp, reach = rng.uniform(-1, 1), rng.uniform(-0.1, 0.1)
    if kind == "palm":
        far = np.hypot((canvas.u - reach) / 0.95, (canvas.v - 0.15) / 0.75)
        folds = (
            1
            - 0.15 * np.exp(-(((canvas.v - 0.1 - 0.3 * canvas.u) / 0.02) ** 2))
            - 0.12 * np.exp(-(((canvas.v - 0.4 + 0.2 * canvas.u) / 0.02) ** 2))
        )
        shade = (0.8 + 0.25 * np.sqrt(np.clip(1 - far**2, 0, 1)) + 0.08 * lamp * canvas.u) * folds
        canvas.put(far < 1, tone * shade[..., None])
    elif kind == "fist":  # from below, the knuckles before the lips
        for k in range(4):
            x = reach + 0.36 * (k - 1.5)
            canvas.finger((x, 1.2), (x + 0.03 * rng.normal(), -0.28 + 0.06 * abs(k - 1.5)), 0.2, tone, lamp, False)
    elif kind == "fingers":  # from the side, flat
        for k in range(4):
            y = 0.55 - 0.3 * k + reach
            canvas.finger((-1.9, y + 0.3), (0.85 - 0.12 * abs(k - 1.3), y), 0.17, tone, lamp, True)
    else:  # tips from below
        for k in range(3):
            x = reach + 0.4 * (k - 1)
            canvas.finger((1.3 * x, 1.5), (x, -0.12 + 0.1 * abs(k - 1)), 0.19, tone, lamp, True)
    return canvas.finished(rng)


def with_thing(image: NDArray[np.uint8], corners: NDArray[np.floating], kind: str, seed: int) -> NDArray[np.uint8]:
    """As `with_hand`; kind: one of THINGS."""
    rng = np.random.default_rng([seed, 5])
    canvas = Canvas(image, tuple(corners[0]), tuple(corners[1]))
    u, v = canvas.u - rng.uniform(-0.1, 0.1), canvas.v - rng.uniform(-0.05, 0.15)
    light = 1 + 0.25 * np.clip(-u - v, -1, 1)
    if kind in ("microphone", "foam microphone", "apple"):
        radius = rng.uniform(0.55, 0.8)
        far = np.hypot(u, v) / radius
        ball = 0.55 + 0.5 * np.sqrt(np.clip(1 - far**2, 0, 1)) * light
        if kind == "microphone":
            base = np.array([[45, 45, 48], [150, 152, 156]][seed % 2]) * (1 + 0.3 * np.sin(60 * u) * np.sin(60 * v))[..., None]
        else:
            base = np.array(
                [[20, 20, 22], [170, 30, 30], [40, 70, 150]][seed % 3] if kind[0] == "f" else [[170, 40, 35], [120, 150, 50]][seed % 2]
            )
            base = base * (1 + 0.08 * clouds(rng, image.shape, 60))[..., None]
        canvas.put((np.abs(u) < 0.22 * radius) & (v > 0.5 * radius), np.full_like(canvas.picture, 35) * light[..., None])
        canvas.put(far < 1, base * ball[..., None])
    elif kind == "spoon":
        far = np.hypot(u / 0.5, v / 0.32)
        gleam = 120 + 90 * np.cos(5 * u + 7 * v) * light
        canvas.put((np.abs(v - 0.25 * u) < 0.06) & (u > 0.3) & (u < 2), gleam[..., None] * np.ones(3))
        canvas.put(far < 1, gleam[..., None] * np.array([1.0, 1.0, 1.02]))
    elif kind == "cup":
        colour = np.array([[235, 235, 230], [180, 60, 40], [70, 110, 80]][seed % 3])
        canvas.put(
            (np.abs(u) < 0.7 - 0.08 * v) & (v > -0.25) & (v < 1.4),
            (0.75 + 0.3 * np.sqrt(np.clip(1 - (u / 0.75) ** 2, 0, 1)))[..., None] * colour,
        )
    elif kind == "phone":
        canvas.put((np.abs(u) < 0.5) & (np.abs(v) < 1.0), np.full_like(canvas.picture, 22) * light[..., None])
    else:
        colour = np.array([[230, 235, 238], [130, 170, 210], [30, 30, 32], [215, 150, 150]][seed % 4])
        folds = 1 - 0.12 * np.exp(-((((v + 0.1) % 0.3 - 0.15) / 0.02) ** 2))
        canvas.put((np.abs(u) < 1.25 - 0.3 * np.maximum(v, 0)) & (v > -0.75) & (v < 0.9), (folds * (1 - 0.12 * u**2))[..., None] * colour)
    return canvas.finished(rng)
