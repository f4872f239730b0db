"""The studio: a web page with a slider for every control, and the JSON API that the page itself uses.

Layers, each of which knows only those before it: `limits`, `jobs`, `session`, `service` (no web at all), `api` and `guard` (HTTP), `page` (Gradio),
`server`. Everything it shows is made by `Editor` and `Person`; it has no way of editing of its own.
"""
