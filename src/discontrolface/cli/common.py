"""What the commands share: errors in one sentence, checks before the long work, progress bars, options that come in groups."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer

from discontrolface.common.errors import UserError

PhotoArgument = Annotated[Path, typer.Argument(help="The photo.", metavar="PHOTO")]
DeviceOption = Annotated[str, typer.Option(help="Where the networks run, as PyTorch names it.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache-dir", help="Where personal weights are kept. [default: the user's cache folder]")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are dataclasses become groups of options, so that several commands can have the same options.

    A group is one option a field, or, where the dataclass has `options()` and `from_options(given)`, what these say.
    """
    hints = get_type_hints(command, include_extras=True)
    shown: list[inspect.Parameter] = []
    groups: dict[str, tuple[Any, list[str]]] = {}  # {parameter: (dataclass, names of its options)}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            options = _options(hints[name])
            groups[name] = hints[name], [option.name for option in options]
            shown += options
        else:
            shown.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**given: Any) -> None:
        filled = {}
        for name, (group, options) in groups.items():
            own = {option: given.pop(option) for option in options}
            filled[name] = group.from_options(own) if hasattr(group, "from_options") else group(**own)
        command(**given, **filled)

    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    del run.__wrapped__  # type: ignore[attr-defined]  # Typer would look through it
    return run


def _options(group: Any) -> list[inspect.Parameter]:
    """The options of a dataclass."""
    if hasattr(group, "options"):
        return list(group.options())
    hints = get_type_hints(group, include_extras=True)
    options = []
    for option in fields(group):
        default = inspect.Parameter.empty if option.default is MISSING else option.default
        options.append(inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[option.name]))
    return options


@contextmanager
def plain_errors() -> Iterator[None]:
    """One clear sentence for what a user can mend, exit code 2; Ctrl-C ends with 130."""
    try:
        yield
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from None


def say(text: str, err: bool = False) -> None:
    """Print a line. Parts of file names that are not UTF-8 are shown as question marks; nothing in a name is taken for markup."""
    typer.echo(printable(text), err=err)


def printable(text: str) -> str:
    """Text that any UTF-8 stream takes: bytes of file names that are not UTF-8 become question marks."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def fail(sentence: str) -> NoReturn:
    """Print to stderr and exit with 2."""
    say(f"error: {sentence}", err=True)
    raise typer.Exit(2)


def parse_pairs(text: str, what: str) -> dict[str, float]:
    """`a=0.6,b=1` as a dict. UserError if it is not of that form."""
    pairs: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        try:
            pairs[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UserError(f"{what} {part!r} is not of the form name=value, for instance {what} jawOpen=0.6,mouthSmileLeft=0.5")
    return pairs


def parse_numbers(text: str | None, what: str, count: int) -> tuple[float, ...] | None:
    """`a,b,...` as exactly `count` numbers."""
    if text is None:
        return None
    try:
        numbers = tuple(float(x) for x in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise UserError(f"{what} {text!r} must be {count} numbers with commas between them")
    return numbers


def parse_folders(option: str, given: list[str], files: bool = False, known: Sequence[str] = ()) -> dict[str, Path]:
    """`NAME=FOLDER`, each, as a dict. UserError for another form, a name twice, and folders that are not there. files: a file will do as well.
    known: words that will do too."""
    folders: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in folders:
            raise UserError(f"{option} {text!r} is not of the form NAME=FOLDER, each name once")
        if not (Path(folder).is_dir() or (files and Path(folder).is_file()) or folder in known):
            raise UserError(f"{option} {name}: {folder} is not a folder; give one that `train` wrote")
        folders[name] = Path(folder)
    return folders


def check_outputs(
    pictures: list[Path | None],
    texts: list[Path | None],
    overwrite: bool,
    inputs: Sequence[Path | None] = (),
    recorded: bool = True,  # whether the pictures carry a record, and so a signature where a certificate is configured
) -> None:
    """Before the long work: can everything be written that was asked for? No two outputs in one file, none over an input (but with `overwrite`)."""
    from discontrolface.common.credentials import check_signing
    from discontrolface.common.images import check_output
    from discontrolface.common.text_files import check_text_output

    for picture in filter(None, pictures):
        check_output(picture, overwrite)
    for text in filter(None, texts):
        check_text_output(text, overwrite)
    check_clashes([*pictures, *texts], inputs, overwrite)
    if recorded:
        check_signing()


def check_clashes(outputs: Sequence[Path | None], inputs: Sequence[Path | None], overwrite: bool) -> None:
    """UserError when two outputs are one file, or an output is an input and `overwrite` is not given."""
    taken: dict[str, Path] = {}
    for output in filter(None, outputs):
        place = os.path.realpath(output)
        if place in taken:
            raise UserError(f"{output} and {taken[place]} are the same file, for two outputs; give each a name of its own")
        taken[place] = output
    for given in filter(None, inputs):
        place = os.path.realpath(given)
        if place in taken and not overwrite:
            raise UserError(f"{taken[place]} is also an input; choose another name or allow overwriting with --overwrite")


@contextmanager
def without_native_messages() -> Iterator[None]:
    """Nothing that libraries in C++ write to standard error: LiteRT says when it makes its first interpreter, and has no switch for it.

    This turns the file descriptor of the whole process, which at this door is the command's own and has no other thread yet.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@contextmanager
def progress_bar(title: str, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with the time left; yields update(done, total). total: None where nobody knows; a guess that is too low grows."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=None if total is None else max(done, total))
