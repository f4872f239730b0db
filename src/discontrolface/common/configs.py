"""Frozen dataclasses from YAML files, the package's own among them by name."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from discontrolface.common.errors import UserError

Config = TypeVar("Config")
PACKAGED = Path(
    str(files("discontrolface") / "assets" / "configs")
)  # those that our weights were trained with, the paper's, and small ones


def config_file(given: Path) -> Path:
    """A file, or the package's config of this name (without an ending). UserError that lists the names."""
    if given.is_file():
        return given
    packaged = {path.stem: path for path in sorted(PACKAGED.glob("*.yaml"))}
    if str(given) not in packaged:
        raise UserError(f"no training config at {given}; give a YAML file, or one of the package's by name: {', '.join(packaged)}")
    return packaged[str(given)]


def load_dataclass(path: Path, defaults: Config) -> Config:
    """A frozen dataclass from a YAML file of its fields (as `config_file` takes it); what the file leaves out is as in `defaults`.

    Errors as `load_config`.
    """
    import yaml

    path = config_file(path)
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must be a list of `name: value` lines")
    known = [f.name for f in dataclasses.fields(defaults)]  # type: ignore[arg-type]
    unknown = sorted(str(key) for key in values if key not in known)
    if unknown:
        raise UserError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(known)}")
    read = {key: _like(getattr(defaults, key), value, f"{path}: {key}") for key, value in values.items()}
    try:
        return dataclasses.replace(defaults, **read)  # type: ignore[type-var]
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _like(default: Any, value: Any, what: str) -> Any:
    """The value in its field's type."""
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise UserError(f"{what} must be a list, got {value!r}")
        return tuple(value)
    if isinstance(default, float) and not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            return float(value)  # YAML reads 1e-4 as text
        except ValueError as error:
            raise UserError(f"{what} must be a number, got {value!r}") from error
    if isinstance(default, str) and isinstance(value, bool):
        return "yes" if value else "no"  # YAML reads no as false
    if not isinstance(value, type(default)) or (isinstance(value, bool) and not isinstance(default, bool)):
        raise UserError(f"{what} must be a {type(default).__name__}, got {value!r}")
    return value
