"""Run the notebooks of docs/notebooks and keep what they show, pictures small, for the site: `make notebooks`.

The notebooks stay without outputs. What cell k of NAME.ipynb shows becomes NAME-k.webp or NAME-k.txt beside it; scripts/docs_hooks.py puts it below
that cell.
"""

import argparse
import base64
import io
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
WIDEST = 1200  # pixels


def executed(path: Path, folder: Path, timeout: int = 600) -> nbformat.NotebookNode:
    """The notebook with its outputs. folder: where it runs. Raises nbclient's CellExecutionError for a cell that fails."""
    notebook = nbformat.read(path, as_version=4)
    return NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()


def pictures(notebook: nbformat.NotebookNode) -> dict[int, Image.Image]:
    """{number of the cell: the picture that it shows}"""
    shown = {}
    for k, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                shown[k] = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
    return shown


def texts(notebook: nbformat.NotebookNode) -> dict[int, str]:
    """{number of the cell: what it prints, or its value, where that is no picture}. Standard error is left out."""
    shown: dict[int, str] = {}
    for k, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            said = output.get("text", "") if output.get("name") == "stdout" else "" if "image/png" in data else data.get("text/plain", "")
            if said:
                shown[k] = shown.get(k, "") + said.rstrip("\n") + "\n"
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    for path in parser.parse_args().notebooks:
        for old in [*path.parent.glob(f"{path.stem}-*.webp"), *path.parent.glob(f"{path.stem}-*.txt")]:
            old.unlink()
        notebook = executed(path, path.parent)
        for k, picture in pictures(notebook).items():
            picture.thumbnail((WIDEST, WIDEST))
            picture.save(path.with_name(f"{path.stem}-{k}.webp"), quality=78, method=6)
        for k, text in texts(notebook).items():
            path.with_name(f"{path.stem}-{k}.txt").write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
