"""The models that come with the package, as LiteRT runs them."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any


def load_model(name: str, num_threads: int) -> Any:
    """An interpreter of a model in `assets/landmarks`, ready to run. It is not safe to share between threads."""
    from ai_edge_litert.interpreter import Interpreter

    with as_file(files("discontrolface") / "assets" / "landmarks" / name) as path:
        interpreter = Interpreter(model_content=path.read_bytes(), num_threads=num_threads)
        interpreter.allocate_tensors()
    return interpreter
