"""What can be trained, by name: the stages of `train`. Who brings another network registers its stage; nothing here knows whose it is."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discontrolface.training.config import TrainConfig
    from discontrolface.training.objective import Objective


@dataclass(frozen=True)
class Stage:
    """One kind of training.

    objective: "module:function" of (config, backbone) -> Objective with new weights, loaded when it is used.
    data: "module:function" of (config, folder, folder of imported files or None) -> data set, for a stage with data of its own.
    """

    objective: str
    reads_snapshots: bool = True  # whether the data must be of the config's head model
    beside_backbone: bool = False  # needs a trained backbone, which stays frozen; else `objective` is given None
    data: str = ""  # see above; none: pairs, shards or an album, as the config's `pairs` says
    continues: bool = False  # begins from trained weights (--start-from)

    def build(self, config: TrainConfig, backbone: Any) -> Objective:
        """The networks of a run with new weights, and their loss."""
        objective: Objective = pkgutil.resolve_name(self.objective)(config, backbone)
        return objective


STAGES: dict[str, Stage] = {
    "diffae": Stage("discontrolface.training.objective:backbone_alone", reads_snapshots=False),
    "expfacenet": Stage("discontrolface.training.objective:control_beside", beside_backbone=True),
    "autoencoder": Stage(
        "discontrolface.training.autoencoder:autoencoder_alone",
        reads_snapshots=False,
        data="discontrolface.training.autoencoder:open_pictures",
    ),
}


def register_stage(name: str, stage: Stage) -> None:
    """Make `train NAME` and `stage: NAME` in a config file known."""
    STAGES[name] = stage
