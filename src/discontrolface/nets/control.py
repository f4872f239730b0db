"""What Exp-FaceNet hands to the backbone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from discontrolface.nets.noise_process import NoiseProcess


@dataclass(frozen=True)
class DecodedMix:
    """What is mixed into a decoded picture, where the squares of latents are too coarse for it."""

    gate: Tensor  # (B,1,H,W) in [0, 1]: how much of `picture` is taken, per pixel
    picture: Tensor  # (B,3,H,W): the warped photo, corrected

    def over(self, decoded: Tensor) -> Tensor:
        """decoded + gate (picture - decoded): (B,3,H,W)."""
        return decoded + self.gate * (self.picture - decoded)


@dataclass(frozen=True)
class Control(Sequence[Tensor | None]):
    """The control signal of one denoising step; `model(x_t, t, z, control=...)` applies all of it.

    As a sequence it is the features: `len(control)` is the number of decoder blocks, `control[k]` is added to the output of block k.
    """

    features: tuple[Tensor | None, ...]  # one per decoder block of the backbone, (B,C_k,H_k,W_k); None: nothing is added there
    gate: Tensor | None = None  # (B,1,h,w) in [0, 1]: how much of the preview is taken, per position of the backbone's space
    preview: Tensor | None = None  # (B,C,h,w), in that space: the warped photo, corrected
    decoded: DecodedMix | None = (
        None  # instead of both: to be mixed into the picture that the prediction is decoded to; models leave it alone
    )

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, k: int) -> Tensor | None:  # type: ignore[override]
        return self.features[k]

    def __iter__(self) -> Iterator[Tensor | None]:
        return iter(self.features)


def mix_preview(
    prediction: Tensor,  # (B,C,h,w)
    control: Control | Sequence[Tensor | None] | None,
    x_t: Tensor,  # (B,C,h,w)
    t: Tensor,  # (B,)
    process: NoiseProcess,
) -> Tensor:
    """x0 <- x0 + gate (preview - x0), for a prediction of any type; without a gate the prediction as it is.

    Every prediction type is affine in x0 for given x_t, so the same mix holds for it, and where the gate is 0 the prediction stays bit for bit what
    it was.
    """
    if not isinstance(control, Control) or control.gate is None:
        return prediction
    assert control.preview is not None
    copied = process.from_x0(control.preview, x_t, t)
    return prediction + control.gate * (copied - prediction)
