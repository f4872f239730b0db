"""VGG-16 in, as torchvision publishes it (vgg16-397923af.pth). Nothing in a file is executed."""

from __future__ import annotations

import re

import torch

from discontrolface.common.errors import UserError
from discontrolface.nets.vgg16 import MEAN, SPREAD, WIDTHS, Vgg16
from discontrolface.weights.reader import Reader, Source, fill


def import_vgg16(source: Source) -> Vgg16:
    """Its first ten convolutions, in eval mode, float32, on the CPU; the others and the classifier are left out.

    `source`: a path, or a mapping {official key: tensor}. UserError that names every missing or misshapen key, and for damaged files.
    """
    reader = Reader(source)
    shapes = reader.shapes()
    if "features.0.weight" not in shapes:
        raise UserError(f"{reader.name} is not torchvision's VGG-16: it has no features.0.weight; give vgg16-397923af.pth.")
    with torch.device("meta"):
        network = Vgg16(WIDTHS[:4])
    network.mean, network.spread = (torch.tensor(values)[None, :, None, None] for values in (MEAN, SPREAD))
    last = max(network.taken)
    own = [key for key in shapes if (match := re.fullmatch(r"features\.(\d+)\.(weight|bias)", key)) and int(match[1]) <= last]
    tensors = {key: reader.read(key) for key in own} | {"mean": network.mean, "spread": network.spread}
    fill(network, tensors, lambda ours: ours, [], reader.name)
    return network.eval()
