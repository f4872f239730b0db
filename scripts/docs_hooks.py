"""Hooks of MkDocs: what links beside docs/ become, and notebooks as pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_page_markdown(markdown: str, **context: Any) -> str:
    """Links from a page of docs/ to files beside docs/, and to folders, have no page on the site: [words](../file) and [words](folder/) -> words.

    What follows is MkDocs's own.
    """
    return re.sub(r"\[([^\]]*)\]\((?:\.\./[^)]*|[^):]*/)\)", r"\1", markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Each notebook as a page of its name; the notebook itself stays, to be downloaded."""
    for notebook in sorted(Path(config.docs_dir).glob("notebooks/*.ipynb")):
        name = f"notebooks/{notebook.stem}.md"
        files.append(File.generated(config, name, content=notebook_page(notebook)))
    return files


def notebook_page(notebook: Path) -> str:
    """Markdown of a notebook: its words, its code, and below cell k what it showed: NAME-k.webp or NAME-k.txt (scripts/run_notebooks.py)."""
    parts = []
    for k, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        picture = notebook.with_name(f"{notebook.stem}-{k}.webp")
        if picture.exists():
            parts.append(f"![what the cell above shows]({picture.name})")
        text_shown = notebook.with_name(f"{notebook.stem}-{k}.txt")
        if text_shown.exists():
            parts.append(f"```text\n{text_shown.read_text(encoding='utf-8').rstrip()}\n```")
        if k == 0:
            parts.append(f"Run it yourself: [{notebook.name}]({notebook.name}).")
    return "\n\n".join(parts) + "\n"
