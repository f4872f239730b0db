"""How far a run is: by its steps, or by the minutes that it has trained, for machines that are rented by the minute.

By the clock, a run of `minutes` ends after that many minutes of training, and its learning rate falls as they pass, however fast the machine is.
What is not training does not count: the first step of a sitting counts nothing, and one that takes far longer than those before it
(compilation for another shape, a checkpoint) counts as one of those.
"""

from __future__ import annotations

import time
from collections import deque
from statistics import median

from discontrolface.common.errors import UserError
from discontrolface.training.config import TrainConfig

AROUND = 20  # steps that a step is compared with
FAR_LONGER = 5.0  # times their median


class Clock:
    """seconds: of training so far, over all sittings of a run. uncounted: seconds of this sitting that were not training.

    ends_at: of time.monotonic, when the run must be complete, if that is before its minutes are over: what is left until then is what is left
    of it, whatever compilation and waiting took.
    """

    def __init__(self, config: TrainConfig, seconds: float = 0.0, ends_at: float | None = None) -> None:
        if ends_at is not None and not config.minutes:
            raise UserError("--end-after is for runs by the clock; write minutes in the config")
        self.config, self.seconds, self.uncounted, self.ends_at = config, seconds, 0.0, ends_at
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
        if self.by_steps:
            return min(1.0, step / self.config.steps)
        whole = 60 * self.config.minutes
        if self.ends_at is not None:
            whole = min(whole, self.seconds + max(0.0, self.ends_at - time.monotonic()))
        return min(1.0, self.seconds / whole) if whole > 0 else 1.0

    def over(self, step: int) -> bool:
        """Whether the run ends before step number `step`."""
        return self.done(step) >= 1
