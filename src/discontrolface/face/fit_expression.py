"""What the blendshape network says, as the fit takes it: a Gaussian observation of each of the head's blendshapes, beside the landmarks.

    x_i = (network_i - neutral_i) / slope_i  +-  noise_i

neutral: what the network says of a face at rest. slope: how much more it says for a blendshape of the head in full. noise: how far x_i is off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.face.blendshape_network import NAMES
from discontrolface.face.fit_priors import Priors, set_against


class Calibration(NamedTuple):
    """neutral, slope in coefficients of the network; noise in those of the head. Left and right have one, but for the lids."""

    neutral: float
    slope: float
    noise: float


CALIBRATION: Final[dict[str, Calibration]] = {
    "browDown": Calibration(0.10, 0.35, 0.60),
    "browInnerUp": Calibration(0.04, 0.25, 1.50),
    "browOuterUp": Calibration(0.06, 0.25, 1.20),
    "eyeBlinkLeft": Calibration(0.11, 0.43, 0.08),  # the network's lids are not alike
    "eyeBlinkRight": Calibration(0.08, 0.38, 0.08),
    "eyeWide": Calibration(0.01, 0.03, 0.40),
    "jawLeft": Calibration(0.00, 0.10, 0.30),
    "jawRight": Calibration(0.00, 0.10, 0.30),
    "jawOpen": Calibration(0.01, 0.68, 0.20),
    "mouthFunnel": Calibration(0.00, 0.20, 0.40),
    "mouthLeft": Calibration(0.00, 0.20, 0.40),
    "mouthPucker": Calibration(0.09, 0.50, 0.60),
    "mouthRight": Calibration(0.00, 0.20, 0.40),
    "mouthSmile": Calibration(0.02, 0.86, 0.09),
    "mouthUpperUp": Calibration(0.01, 0.50, 0.50),
}


def calibration(name: str) -> Calibration | None:
    """Of a blendshape; None where the network is not believed."""
    return CALIBRATION.get(name.removesuffix("Left").removesuffix("Right") if name not in CALIBRATION else name)


class NetworkExpression(NamedTuple):
    """What the network says in the head's blendshapes: values (E,), and how far they are off (E,), inf where it is not believed."""

    values: NDArray[np.float64]
    noises: NDArray[np.float64]


def network_expression(network: NDArray[np.floating], names: Sequence[str]) -> NetworkExpression:
    """The network's coefficients (52,) as values of the blendshapes `names`. A face at rest gives values about 0, below it too."""
    values, noises = np.zeros(len(names)), np.full(len(names), np.inf)
    for i, name in enumerate(names):
        row = calibration(name)
        if row is not None and name in NAMES:
            values[i] = (float(network[NAMES.index(name)]) - row.neutral) / row.slope
            noises[i] = row.noise
    return NetworkExpression(values, noises)


def observed(priors: Priors, names: Sequence[str], values: NDArray[np.floating], noises: NDArray[np.floating]) -> Priors:
    """The priors of (shape, expression) with these observations (E,) of the blendshapes `names`."""
    precision, linear = priors.precision.copy(), priors.linear.copy()
    where = np.arange(len(linear) - len(values), len(linear))
    weights = 1 / np.asarray(noises, np.float64) ** 2
    precision[where, where] += weights
    linear[where] -= weights * values
    set_against(precision, names)
    return replace(priors, precision=precision, linear=linear)
