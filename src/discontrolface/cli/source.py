"""The options that say which face of a photo is read, and with what: preset, head model, imported assets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import parse_numbers, say, without_native_messages
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.common.images import Photo
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.person import Person
    from discontrolface.editing.reading import Reader

EVERY = "all"  # the value of --face for all faces
AssetsOption = Annotated[
    Path | None, typer.Option("--assets-dir", help="Imported files (see `assets`). [default: the user's data folder]", metavar="DIR")
]


@dataclass(frozen=True)
class Source:
    """Which face, and with what it is read."""

    preset: Annotated[str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights.")] = "open"
    head: Annotated[str | None, typer.Option(help="Head model: open or flame. [default: the preset's]")] = None
    detail: Annotated[
        bool, typer.Option("--detail/--no-detail", help="With FLAME: control wrinkles too (the paper), or not (its ablation).")
    ] = True
    assets_dir: AssetsOption = None
    face: Annotated[
        str | None,
        typer.Option("--face", help="Which face: 0 is the largest, as `read --faces` lists them; `edit`: or all.", metavar="N|all"),
    ] = None
    face_box: Annotated[
        str | None, typer.Option("--face-box", help="The face's box in pixels: left,top,right,bottom.", metavar="L,T,R,B")
    ] = None
    max_megapixels: Annotated[float, typer.Option(help="Larger photos are refused before they are decoded.", metavar="MP")] = 250.0

    def reader(self, device: str = "cpu") -> Reader:
        """The models that read photos. Only what reading needs has to be there, no diffusion networks."""
        from discontrolface.editing.reading import Reader
        from discontrolface.weights.manifest import preset_head, preset_size

        head, size = self.head or preset_head(self.preset), preset_size(self.preset, self.assets_dir)
        with without_native_messages():
            return Reader.load(head, size, self.assets_dir, self.detail, device=device)

    @property
    def every(self) -> bool:
        """Whether all faces are meant."""
        return self.face == EVERY

    @property
    def number(self) -> int | None:
        """The number of the chosen face; None: none was given, or all are meant. UserError for what is neither."""
        if self.face is None or self.every:
            return None
        try:
            return int(self.face)
        except ValueError:
            raise UserError(f"--face {self.face!r} is neither a number nor {EVERY!r}; 0 is the largest face") from None

    def load(self, photo: Path) -> Photo:
        """The photo; on standard error, what of its file is left out."""
        from discontrolface.common.images import load_photo

        loaded = load_photo(photo, self.max_megapixels)
        for remark in loaded.remarks:
            say(f"note: {photo} {remark}", err=True)
        return loaded

    def read(self, reader: Reader, photo: Path | Photo) -> Person:
        """The person of the chosen face. UserError when all are meant: this is for commands that take one."""
        if self.every:
            raise UserError(f"--face {EVERY} is for `edit` alone; give one number")
        box = parse_numbers(self.face_box, "--face-box", 4)
        loaded = self.load(photo) if isinstance(photo, Path) else photo
        return reader.read(loaded, self.number, None if box is None else (box[0], box[1], box[2], box[3]))

    def folder(self) -> Path:
        """The preset's folder, complete as far as that can be said quickly: before the photo is read."""
        from discontrolface.weights.manifest import preset_folder

        return preset_folder(self.preset, self.assets_dir)

    def editor(self, folder: Path, device: str, cache: Path | None, reader: Reader) -> Editor:
        """The networks."""
        from discontrolface.editing.editor import Editor

        return Editor.load(folder, device, cache, reader)
