"""DisControlFace for ComfyUI. Put this folder into ComfyUI's `custom_nodes`, and `pip install discontrolface` into its Python."""

from discontrolface.comfy import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
