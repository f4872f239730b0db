"""A network that a folder holds: its class and constructor arguments in config.json, its weights as safetensors (the layout of diffusers' models).

Beside PyTorch nothing but safetensors is imported: diffusers' own base classes take 1.6 s to import.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = f"{WEIGHTS}.index.json"  # of weights in several files: {"weight_map": {parameter name: file name}}


class Config(Mapping[str, Any]):
    """Constructor arguments, read-only: `config["patch"]` or `config.patch`. Sequences are tuples."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"the config has no {name!r}")
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Config({self._values})"


class Network(nn.Module):
    """Base class: records the constructor's arguments (`config`), writes and reads folders.

    A subclass's constructor takes what JSON can hold, each argument with a default, and none of it twice (no *args, no **kwargs).
    """

    config: Config

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        network = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(network, *args, **kwargs)
        except TypeError:
            return network  # the constructor says it better
        bound.apply_defaults()
        values = dict(list(bound.arguments.items())[1:])  # without self
        object.__setattr__(network, "config", Config(values))  # nn.Module's own needs its constructor to have run
        return network

    def enable_gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass in place of keeping them: less memory, more time."""
        for module in self.modules():
            if hasattr(module, "gradient_checkpointing"):
                setattr(module, "gradient_checkpointing", True)  # noqa: B010 (nn.Module declares no such attribute)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the two files, each of them whole or not at all. Raises UserError."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        write_atomically(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
        text = json.dumps({"_class_name": type(self).__name__, **self.config}, indent=2, sort_keys=True)
        write_atomically(folder / CONFIG, (text + "\n").encode())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """The network of a folder that `save_pretrained` (or diffusers) wrote: float32, evaluation mode, on the CPU.

        Raises UserError when a file is missing or damaged, or describes another network.
        """
        folder = Path(folder)
        arguments, weights = cls._arguments(folder), _read_weights(folder)
        try:
            with _WithoutInitialisation():
                network = cls(**arguments)
            network.load_state_dict(weights)
        except UserError as error:
            raise UserError(f"{folder / CONFIG}: {error}") from error
        except (TypeError, RuntimeError) as error:
            what = " ".join(str(error).split())[:200]
            raise UserError(f"the weights in {folder} are not those of a {cls.__name__} as its {CONFIG} describes it: {what}") from error
        return network.eval()

    @classmethod
    def _arguments(cls, folder: Path) -> dict[str, Any]:
        """The constructor's arguments as config.json holds them. Names with an underscore are remarks."""
        path = folder / CONFIG
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            kind, arguments = values.get("_class_name"), {name: value for name, value in values.items() if not name.startswith("_")}
        except FileNotFoundError as error:
            raise UserError(f"no {CONFIG} in {folder}; give the folder of a saved {cls.__name__}") from error
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(f"{path} cannot be read ({error}); save the network again") from error
        if kind != cls.__name__:
            raise UserError(f"{folder} holds a {kind}, not a {cls.__name__}")
        unknown = sorted(set(arguments) - set(inspect.signature(cls.__init__).parameters))
        if unknown:
            raise UserError(f"{path} gives {unknown[0]!r}, which a {cls.__name__} does not have; it was written by another version")
        return arguments


class _WithoutInitialisation(TorchFunctionMode):
    """Parameters stay as they are allocated: the weights of a file replace them. Of this thread only; draws no random numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """{name: float32 tensor (integers as they are)} of the weights' file, or files."""
    tensors: dict[str, Tensor] = {}
    try:
        names = {WEIGHTS}
        if (folder / INDEX).is_file():
            names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        for name in sorted(names):
            if not (folder / name).is_file():
                raise UserError(f"no {name} in {folder}; copy the weights there")
            tensors |= load_file(folder / name)
    except UserError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise UserError(f"the weights in {folder} cannot be read ({error}); they are damaged, copy them again") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
