"""The second step of HeadNeRF's fitting: offsets of its codes and of the camera, from the photo.

As the official code (FittingSingleImage.py, Utils/HeadNeRFLossUtils.py): Adam, the same terms, rates, decay, weights and number of iterations. The
distance of VGG-16's features needs its file, which the user brings; without it that term is left out, and pictures are softer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from discontrolface.baselines.headnerf_face import FaceFit, euler
from discontrolface.nets.headnerf import HeadImages, HeadNeRF
from discontrolface.nets.headnerf_rays import pixel_grid
from discontrolface.nets.vgg16 import Vgg16

ITERATIONS: Final = 300
SHAPE_RATE, APPEARANCE_RATE, CAMERA_RATE = 0.015, 0.01, 0.001
DECAY: Final = 0.1  # of the rates from the first to the last iteration
SMALL: Final = {
    "identity": 1e-3,
    "expression": 1.0,
    "appearance": 1e-3,
    "angles": 1e-3,
    "shift": 1e-3,
}  # weights of the offsets' mean squares
WHITE: Final = 1.0  # the background


@dataclass(frozen=True)
class HeadFit:
    """A photo's head: what the face model said, and what HeadNeRF adds to it. identity (1,100), expression (1,79), appearance (1,127), angles (1,3)
    and shift (1,3) of the camera."""

    start: FaceFit
    identity: Tensor
    expression: Tensor
    appearance: Tensor
    angles: Tensor
    shift: Tensor

    @classmethod
    def of(cls, network: HeadNeRF, start: FaceFit) -> HeadFit:
        """Before the photo was looked at."""
        texture_and_light = int(network.config["appearance_channels"])
        return cls(
            start,
            torch.zeros_like(start.identity),
            torch.zeros_like(start.expression),
            torch.zeros(1, texture_and_light),
            torch.zeros(1, 3),
            torch.zeros(1, 3),
        )

    def images(self, network: HeadNeRF, seen: FaceFit | None = None, light: Tensor | None = None) -> HeadImages:
        """The head as the photo shows it, or with another expression and before another camera (`seen`, a fit with the same identity), or with
        something added to its light (1,27)."""
        device = network.renderer.background.device
        posed = self.start if seen is None else seen
        shape = torch.cat([self.start.identity + self.identity, posed.expression + self.expression], 1)
        base = torch.cat([self.start.texture, self.start.light if light is None else self.start.light + light], 1)
        rotation, place, inverse = posed.camera(network.grid)
        turn = euler(self.angles)
        return network(
            pixel_grid(network.grid).to(device),
            shape_code=shape.to(device),
            appea_code=(base + self.appearance).to(device),
            batch_Rmats=(turn @ rotation).to(device),
            batch_Tvecs=(turn @ place + self.shift[..., None]).to(device),
            batch_inv_inmats=inverse.to(device),
        )


def fitting_loss(images: HeadImages, photo: Tensor, head: Tensor) -> Tensor:
    """The official losses of pixels: the head as in the photo, white around it, a white background. photo: (1,3,S,S) in [0, 1], head:
    (1,1,S,S) bool."""
    picture, outside = images.merge_img, ~head
    of_head = ((picture - photo).square() * head).sum() / (3 * head.sum()).clamp(min=1)
    around = ((picture - WHITE).square() * outside).sum() / (3 * outside.sum()).clamp(min=1)
    return of_head + around + (images.bg_img - WHITE).square().mean()


@torch.enable_grad()
def fit_photo(
    network: HeadNeRF,
    start: FaceFit,
    photo: Tensor,  # (1,3,S,S) in [0, 1], S the network's
    head: Tensor,  # (1,1,S,S) bool, True on the head with its hair
    iterations: int = ITERATIONS,
    vgg: Vgg16 | None = None,  # None: no distance of features
) -> HeadFit:
    """The offsets of a photo."""
    begun = HeadFit.of(network, start)
    free = {name: getattr(begun, name).clone().requires_grad_() for name in SMALL}
    fit = HeadFit(start, **free)
    rates = {"appearance": APPEARANCE_RATE, "angles": CAMERA_RATE, "shift": CAMERA_RATE}
    optimizer = torch.optim.Adam([{"params": [value], "lr": rates.get(name, SHAPE_RATE)} for name, value in free.items()])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: DECAY ** (step / max(iterations, 1)))
    with torch.no_grad():
        features = None if vgg is None else vgg(torch.where(head, photo, WHITE))
    for _ in range(iterations):
        images = fit.images(network)
        loss = fitting_loss(images, photo, head)
        if vgg is not None and features is not None:
            loss = loss + vgg.distance(images.merge_img, features)
        for name, weight in SMALL.items():
            loss = loss + weight * free[name].square().mean()
        for value, gradient in zip(free.values(), torch.autograd.grad(loss, list(free.values())), strict=True):
            value.grad = gradient
        optimizer.step()
        schedule.step()
    return HeadFit(start, **{name: value.detach() for name, value in free.items()})
