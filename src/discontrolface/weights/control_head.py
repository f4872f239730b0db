"""A control network belongs to the head model whose snapshots it was trained on."""

from pathlib import Path

from discontrolface.common.errors import UserError
from discontrolface.nets.exp_facenet import ExpFaceNet


def check_control_head(control: ExpFaceNet, head: str, source: Path) -> None:
    """UserError unless the control network was trained on snapshots of this head model. source: where it was read."""
    trained = control.spec.head
    if trained != head:
        raise UserError(
            f"{source} was trained on snapshots of the head model {trained!r}, and the preset's is {head!r}; train one on photos that "
            f'`discontrolface prepare --head {head}` read, or use it in a preset with "head": "{trained}"'
        )
