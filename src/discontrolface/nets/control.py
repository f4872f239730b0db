"""What Exp-FaceNet hands to the backbone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Control(Sequence[Tensor | None]):
    """The control signal of one denoising step; `model(x_t, t, z, control=...)` applies all of it.

    As a sequence it is the features: `len(control)` is the number of decoder blocks, `control[k]` is added to the output of block k.
    """

    features: tuple[Tensor | None, ...]  # one per decoder block of the backbone, (B,C_k,H_k,W_k); None: nothing is added there
    gate: Tensor | None = None  # (B,1,H,W) in [0, 1]: how much of the preview is taken, per pixel
    preview: Tensor | None = None  # (B,3,H,W) in about [-1, 1]: the warped photo, corrected

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, k: int) -> Tensor | None:  # type: ignore[override]
        return self.features[k]

    def __iter__(self) -> Iterator[Tensor | None]:
        return iter(self.features)
