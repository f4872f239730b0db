"""The super-resolution network on one edit: what the photo did not show, as sharp as what it did."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.tensors import from_network, to_network
from discontrolface.nets.super_resolution import SuperResolution
from discontrolface.render.warp import Preview


@torch.no_grad()
def super_resolved(
    network: SuperResolution, carried: NDArray[np.float32], preview: Preview, trusted: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The edit (S, S, 3) in [0, 1], of the preview's size. carried: without it; trusted: (S, S), where that shows the photo and stays as it is."""
    device = next(network.parameters()).device
    planes = [
        torch.from_numpy(np.ascontiguousarray(p, np.float32))[None, None] for p in (preview.visibility.clip(0, 1), trusted.clip(0, 1))
    ]
    inputs = [to_network(carried), to_network(preview.image), *planes]
    larger = network(*(x.to(device) for x in inputs))
    return np.where(trusted[..., None] >= 1, carried, from_network(larger)).astype(np.float32)
