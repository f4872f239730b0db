"""The face model that HeadNeRF's codes come from (NL3DMM), as far as its landmarks need it: identity and expression codes to 68 points.

Geometry of the non-linear 3DMM of the official code (Fitting3DMM/FaceModels.py): a hidden layer, then 34,650 vertices; kept are those that landmarks
may lie on. Each of the 17 points of the jaw line has a row of vertices around the cheek, of which the outermost in the picture is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.nets.network import Network

JAW, INNER = 17, 51
SCALE = 0.01  # of the model's numbers to units of HeadNeRF's world


class NL3DMM(Network):
    """Codes to the vertices that landmarks may lie on, and from these the landmarks."""

    __call__: Callable[..., Tensor]

    def __init__(
        self,
        identity: int = 100,
        expression: int = 79,
        hidden: int = 1024,
        candidates: int = 22,  # vertices around the cheek for each point of the jaw line
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(identity + expression, hidden)
        self.vertices = nn.Linear(hidden, 3 * (JAW * candidates + INNER))  # jaw point by jaw point, then the inner 51

    def forward(self, identity: Tensor, expression: Tensor) -> Tensor:
        """(B,100), (B,79) -> (B,V,3) in HeadNeRF's world."""
        h = F.relu(self.hidden(torch.cat([identity, expression], 1)))
        return SCALE * self.vertices(h).unflatten(1, (-1, 3))

    def landmarks(self, seen: Tensor) -> Tensor:
        """Vertices (B,V,3) of `forward` in a camera's space (x right, y down) -> the 68 iBUG points (B,68,3).

        Of a jaw point's vertices the leftmost counts at the image's left, the lowest at the chin, the rightmost at the right.
        """
        candidates = int(self.config["candidates"])
        rows = seen[:, : JAW * candidates].unflatten(1, (JAW, candidates))  # (B,17,22,3)
        x, y = rows[..., 0], rows[..., 1]
        outermost = torch.cat([x[:, :8].argmin(-1), y[:, 8:9].argmax(-1), x[:, 9:].argmax(-1)], 1)  # (B,17)
        jaw = rows.gather(2, outermost[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
        return torch.cat([jaw, seen[:, JAW * candidates :]], 1)
