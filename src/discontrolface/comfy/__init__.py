"""Nodes for ComfyUI: its loader reads NODE_CLASS_MAPPINGS here, through the folder comfyui/ that users put into `custom_nodes`."""

from __future__ import annotations

from discontrolface.comfy.controls import CONTROL_NODES, CopyFromPhoto, NamedControls, NeutralFace
from discontrolface.comfy.faces import Animate, Edit, Load, Personalize, Preview, ReadFace

_NODES = {
    "DisControlFaceLoad": (Load, "DisControlFace: load"),
    "DisControlFaceRead": (ReadFace, "DisControlFace: read a face"),
    **{f"DisControlFace{group.title().replace(' ', '')}": (node, f"DisControlFace: {group}") for group, node in CONTROL_NODES.items()},
    "DisControlFaceNamed": (NamedControls, "DisControlFace: controls by name"),
    "DisControlFaceNeutral": (NeutralFace, "DisControlFace: relax the face"),
    "DisControlFaceCopy": (CopyFromPhoto, "DisControlFace: copy from a face"),
    "DisControlFacePersonalize": (Personalize, "DisControlFace: personalize"),
    "DisControlFacePreview": (Preview, "DisControlFace: preview"),
    "DisControlFaceEdit": (Edit, "DisControlFace: edit"),
    "DisControlFaceAnimate": (Animate, "DisControlFace: animate"),
}
NODE_CLASS_MAPPINGS = {name: node for name, (node, _) in _NODES.items()}
NODE_DISPLAY_NAME_MAPPINGS = {name: label for name, (_, label) in _NODES.items()}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
