"""Drawing: z-buffer, light, snapshots, the preview. Names are loaded when first used (PyTorch and Numba are slow to import)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discontrolface.render.raster import Raster, interpolate, rasterize, rasterize_batch, visible_vertices
    from discontrolface.render.rig import PreviewRig
    from discontrolface.render.shade import light_preset, sh_shading
    from discontrolface.render.snapshot import Snapshot, render_snapshot
    from discontrolface.render.source import PreviewSource, View, prepare_source
    from discontrolface.render.warp import Preview, preview_of, render_preview

_HOME = {
    "Raster": "raster",
    "interpolate": "raster",
    "rasterize": "raster",
    "rasterize_batch": "raster",
    "visible_vertices": "raster",
    "PreviewRig": "rig",
    "light_preset": "shade",
    "sh_shading": "shade",
    "Snapshot": "snapshot",
    "render_snapshot": "snapshot",
    "PreviewSource": "source",
    "View": "source",
    "prepare_source": "source",
    "Preview": "warp",
    "render_preview": "warp",
    "preview_of": "warp",
}

__all__ = [
    "Preview",
    "PreviewRig",
    "PreviewSource",
    "Raster",
    "Snapshot",
    "View",
    "interpolate",
    "light_preset",
    "prepare_source",
    "preview_of",
    "rasterize",
    "rasterize_batch",
    "render_preview",
    "render_snapshot",
    "sh_shading",
    "snapshot_channels",
    "visible_vertices",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
