"""Drawing: z-buffer, light, snapshots, the preview. Names are loaded when first used (PyTorch and Numba are slow to import)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discontrolface.common.lazy import lazy_names

if TYPE_CHECKING:
    from discontrolface.render.covered import COVERED, covered_share, lips_move
    from discontrolface.render.raster import Raster, interpolate, rasterize, rasterize_batch, visible_vertices
    from discontrolface.render.rig import PreviewRig
    from discontrolface.render.shade import light_preset, sh_shading
    from discontrolface.render.snapshot import Snapshot, render_snapshot
    from discontrolface.render.source import PreviewSource, View, prepare_source
    from discontrolface.render.warp import Preview, preview_of, render_preview

__getattr__ = lazy_names(
    __name__,
    {
        "COVERED": "covered",
        "covered_share": "covered",
        "lips_move": "covered",
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
    },
)

__all__ = [
    "COVERED",
    "Preview",
    "PreviewRig",
    "PreviewSource",
    "Raster",
    "Snapshot",
    "View",
    "covered_share",
    "interpolate",
    "light_preset",
    "lips_move",
    "prepare_source",
    "preview_of",
    "rasterize",
    "rasterize_batch",
    "render_preview",
    "render_snapshot",
    "sh_shading",
    "visible_vertices",
]
