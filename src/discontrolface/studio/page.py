"""The page: Gradio lays it out; what moves in it is `static/studio.js`, which calls the API as any program would.

Gradio's components here have no Python behind them: their events run in the browser. So there is one API, one way of editing, and nothing of
Gradio's own ways to files and functions has to be open (see guard.py).
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

import gradio as gr

from discontrolface.common.provenance import STATEMENT
from discontrolface.diffusion.masking import SCHEDULES
from discontrolface.diffusion.sampling import SOLVERS
from discontrolface.diffusion.settings import RESOLUTIONS, STARTS
from discontrolface.studio.work import MOST_STEPS

PRESET: Final = "preset's"
HEAD: Final = '<link rel="stylesheet" href="/studio/static/studio.css"><script type="module" src="/studio/static/main.js"></script>'
NOTE: Final = "Pictures made here are edited. Each says so in its metadata. Edit faces of people who agree."

SOURCE: Final = """
<div id="source">
  <button type="button" id="drop" aria-describedby="drop-help">Choose a photo</button>
  <p id="drop-help">or drop it on the page, or paste it</p>
  <button type="button" id="webcam">Webcam</button>
  <input type="file" id="file" accept="image/*" hidden aria-label="Photo">
  <div id="faces" hidden></div>
</div>
<p id="message" role="status" aria-live="polite"></p>"""

STAGE: Final = """
<div id="stage" data-empty="yes">
  <img id="before" alt="The photo before the edit" hidden>
  <img id="after" alt="The edited face" hidden>
  <span id="badge" hidden>edited</span>
  <p id="empty">Load a photo of a face to begin.</p>
</div>
<div id="under">
  <label>Before | after <input type="range" id="wipe" min="0" max="100" value="0" disabled></label>
  <span id="layers" role="radiogroup" aria-label="What is shown"></span>
  <output id="kind"></output>
</div>
<div id="work" hidden><progress id="bar"></progress> <span id="work-text"></span> <button type="button" id="cancel">Cancel</button></div>"""

PADS: Final = """
<div id="pads">
  <div><div class="pad" id="gaze" role="application" tabindex="0" aria-label="Gaze: arrow keys move it"><i></i></div><small>gaze</small></div>
  <div><div class="pad round" id="lamp" role="application" tabindex="0" aria-label="Light: arrow keys move the lamp">
  <canvas width="110" height="110"></canvas><i></i></div>
  <small>light <output id="lamp-text"></output></small></div>
</div>"""

PANEL: Final = """
<label class="search">Search <input type="search" id="search" placeholder="smile, brow, yaw ..." autocomplete="off"></label>
<div id="panel"></div>"""

COPY: Final = """
<details class="box"><summary>Copy from another photo</summary><div id="copy">
  <button type="button" id="other-choose">Choose the other photo</button>
  <input type="file" id="other-file" accept="image/*" hidden aria-label="Photo to copy from">
  <div id="other-faces" hidden></div>
  <div id="parts"></div>
</div></details>"""

SWEEP: Final = """
<details class="box"><summary>Sweep one control as a moving picture</summary><div id="sweep">
  <label>Control <select id="sweep-control"></select></label>
  <label>from <input type="number" id="sweep-from" step="any"></label>
  <label>to <input type="number" id="sweep-to" step="any"></label>
  <label>frames <input type="number" id="sweep-frames" value="9" min="2" max="24"></label>
  <label><input type="checkbox" id="sweep-network"> by the networks</label>
  <button type="button" id="sweep-go">Make a GIF</button>
</div></details>"""

HISTORY: Final = """
<details class="box" open><summary>History and downloads</summary>
<label class="mark"><input type="checkbox" id="mark"> visible mark in downloads</label><div id="history"></div></details>"""
FILES: Final = """
<details class="box"><summary>Load parameters</summary>
<button type="button" id="parameters-choose">Choose a parameter file</button>
<input type="file" id="parameters-file" accept=".json,application/json" hidden aria-label="Parameter file"></details>"""


def layout() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="DisControlFace studio", analytics_enabled=False) as page:
        gr.HTML(f'<h1>DisControlFace studio</h1><p id="note" title="{escape(STATEMENT)}">{NOTE}</p>{SOURCE}')
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=5, min_width=320):
                gr.HTML(STAGE)
                with gr.Row(elem_id="main-buttons"):
                    _button("Render", "render", "primary")
                    _button("Personalize", "personalize")
                with gr.Row(elem_id="step-buttons"):
                    for label, name in (("Undo", "undo"), ("Redo", "redo"), ("Neutral", "neutral"), ("Reset", "reset")):
                        _button(label, name)
                gr.HTML('<div id="looks" role="group" aria-label="Looks"></div>')
                gr.HTML(HISTORY + COPY + SWEEP + FILES)
                with gr.Accordion("More: seed, steps, masking, start, temperature, resolution", open=False):
                    _more()
            with gr.Column(scale=4, min_width=300):
                gr.HTML(PADS)
                gr.HTML(PANEL, js_on_load="window.studioReady ? window.studioReady() : (window.studioWaiting = true)")
    return page


def _button(label: str, name: str, variant: Any = "secondary") -> None:
    button = gr.Button(label, variant=variant, elem_id=name, size="sm", min_width=80)
    button.click(fn=None, js=f"() => {{ window.studio.act('{name}'); }}")


def _more() -> None:
    """How the networks work: what is left empty is the preset's."""
    with gr.Row():
        fields: list[tuple[Any, str]] = [
            (gr.Number(value=0, label="Seed", precision=0, minimum=0, min_width=110), "seed"),
            (gr.Number(value=None, label="Steps", precision=0, minimum=1, maximum=MOST_STEPS, min_width=110), "steps"),
            (gr.Number(value=None, label="Strength", minimum=0.01, maximum=1, step=0.05, min_width=110), "strength"),
            (gr.Number(value=None, label="Temperature", minimum=0.05, maximum=1, step=0.05, min_width=110), "temperature"),
            (gr.Number(value=None, label="Iterations of personalizing", precision=0, minimum=1, min_width=110), "iterations"),
        ]
    with gr.Row():
        fields += [
            (gr.Dropdown([PRESET, *names], value=PRESET, label=label, min_width=140), name)
            for label, name, names in (
                ("Masking", "masking", SCHEDULES),
                ("Start", "start", STARTS),
                ("Solver", "solver", SOLVERS),
                ("Resolution", "resolution", RESOLUTIONS),
            )
        ]
    for component, name in fields:
        component.change(fn=None, inputs=[component], js=f"(value) => {{ window.studio.choose('{name}', value); }}")


def add_page(app: Any) -> Any:
    """The page at /."""
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="teal")
    return gr.mount_gradio_app(app, layout(), path="/", head=HEAD, theme=theme, footer_links=[], ssr_mode=False, show_error=False)
