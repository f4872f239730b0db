"""Hooks of MkDocs: links from a page of docs/ to files beside docs/, and to folders, have no page on the site; there they are plain text."""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, **context: Any) -> str:
    """[words](../file) and [words](folder/) -> words. What follows is MkDocs's own."""
    return re.sub(r"\[([^\]]*)\]\((?:\.\./[^)]*|[^):]*/)\)", r"\1", markdown)
