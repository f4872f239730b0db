"""The face model that HeadNeRF's codes come from (NL3DMM): identity and expression codes to a mesh, texture codes to its colours.

As in the official code (Fitting3DMM/FaceModels.py, NL3DMMRenderer.py): 34,650 vertices by a hidden layer and a linear one, colours by a linear model.
68 of the vertices are landmarks; each of the 17 points of the jaw line has a row of vertices around the cheek, of which the outermost in the picture
is taken.
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
    """Codes to vertices, colours, normals and landmarks. The defaults are the official sizes."""

    __call__: Callable[..., Tensor]
    triangles: Tensor
    around: Tensor
    landmark_vertices: Tensor
    skin: Tensor

    def __init__(
        self,
        identity: int = 100,
        expression: int = 79,
        texture: int = 100,
        hidden: int = 1024,
        vertices: int = 34_650,
        triangles: int = 68_746,
        neighbours: int = 8,  # triangles around a vertex, at most
        candidates: int = 22,  # vertices around the cheek for each point of the jaw line
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(identity + expression, hidden)
        self.vertices = nn.Linear(hidden, 3 * vertices)
        self.colours = nn.Linear(texture, 3 * vertices)
        self.register_buffer("triangles", torch.zeros(triangles, 3, dtype=torch.int64))
        self.register_buffer("around", torch.full((vertices, neighbours), triangles))  # triangles by number; their count: none
        self.register_buffer(
            "landmark_vertices", torch.zeros(JAW * candidates + INNER, dtype=torch.int64)
        )  # jaw point by point, the inner 51
        self.register_buffer("skin", torch.ones(vertices))  # 1: the colour is to be even there

    def forward(self, identity: Tensor, expression: Tensor) -> Tensor:
        """(B,100), (B,79) -> (B,V,3) in HeadNeRF's world."""
        h = F.relu(self.hidden(torch.cat([identity, expression], 1)))
        return SCALE * self.vertices(h).unflatten(1, (-1, 3))

    def landmark_rows(self) -> tuple[Tensor, Tensor]:
        """The part of the last layer that makes the vertices of landmarks: weight (3 L,H) and bias (3 L,)."""
        rows = (self.landmark_vertices[:, None] * 3 + torch.arange(3, device=self.skin.device)).flatten()
        return self.vertices.weight[rows], self.vertices.bias[rows]

    def candidates(self, identity: Tensor, expression: Tensor, rows: tuple[Tensor, Tensor]) -> Tensor:
        """`forward` for the vertices of landmarks alone, by `landmark_rows`: (B,L,3)."""
        h = F.relu(self.hidden(torch.cat([identity, expression], 1)))
        return SCALE * F.linear(h, *rows).unflatten(1, (-1, 3))

    def albedo(self, texture: Tensor) -> Tensor:
        """(B,100) -> the vertices' own colours (B,V,3), 0 to about 255."""
        return self.colours(texture).unflatten(1, (-1, 3))  # type: ignore[no-any-return]

    def normals(self, seen: Tensor) -> Tensor:
        """Vertices (B,V,3) -> unit normals (B,V,3), the sums of those of the triangles around (official `calc_normal`)."""
        a, b, c = (seen[:, corner] for corner in self.triangles.T)
        flat = F.pad(F.normalize(torch.linalg.cross(b - a, c - a), dim=2), (0, 0, 0, 1))  # one more, zero: no triangle
        return F.normalize(flat[:, self.around].sum(2), dim=-1)

    def landmarks(self, seen: Tensor) -> Tensor:
        """Vertices of landmarks (B,L,3) in a camera's space (x right, y down) -> the 68 iBUG points (B,68,3).

        Of a jaw point's vertices the leftmost counts at the image's left, the lowest at the chin, the rightmost at the right.
        """
        candidates = int(self.config["candidates"])
        rows = seen[:, : JAW * candidates].unflatten(1, (JAW, candidates))  # (B,17,22,3)
        x, y = rows[..., 0], rows[..., 1]
        outermost = torch.cat([x[:, :8].argmin(-1), y[:, 8:9].argmax(-1), x[:, 9:].argmax(-1)], 1)  # (B,17)
        jaw = rows.gather(2, outermost[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
        return torch.cat([jaw, seen[:, JAW * candidates :]], 1)
