"""How far a run is: by its steps, or by the minutes that it has trained, for machines that are rented by the minute.

By the clock, a run of `minutes` ends after that many minutes of training, and its learning rate falls as they pass, however fast the machine is.
What is not training does not count: the first step of a sitting counts nothing, and one that takes far longer than those before it
(compilation for another shape, a checkpoint) counts as one of those.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from discontrolface.training.config import TrainConfig

AROUND = 20  # steps that a step is compared with
FAR_LONGER = 5.0  # times their median


class Clock:
    """seconds: of training so far, over all sittings of a run. uncounted: seconds of this sitting that were not training."""

    def __init__(self, config: TrainConfig, seconds: float = 0.0) -> None:
        self.config, self.seconds, self.uncounted = config, seconds, 0.0
        self._recent: deque[float] = deque(maxlen=AROUND)
        self._begun = False

    @property
    def by_steps(self) -> bool:
        """Whether the run is as long as `steps` says."""
        return not self.config.minutes

    def tick(self, seconds: float) -> None:
        """A step took so long."""
        usual = median(self._recent) if self._recent else seconds
        if not self._begun:  # the first of this sitting
            self._begun, counted = True, 0.0
        elif seconds <= FAR_LONGER * usual:
            self._recent.append(seconds)
            counted = seconds
        else:
            counted = usual
        self.seconds += counted
        self.uncounted += seconds - counted

    def done(self, step: int) -> float:
        """The share of the run that lies behind when step number `step` begins, at most 1."""
        return min(1.0, step / self.config.steps if self.by_steps else self.seconds / (60 * self.config.minutes))

    def over(self, step: int) -> bool:
        """Whether the run ends before step number `step`."""
        return self.done(step) >= 1
