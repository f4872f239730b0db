"""`discontrolface edit CLIP`: the change that is asked for in every frame of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discontrolface.cli.clip_files import check_free, counted, write_marked
from discontrolface.cli.common import progress_bar, say
from discontrolface.cli.trust import check_confidence
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.cli.controls import Controls
    from discontrolface.cli.sampling import SamplingOptions
    from discontrolface.cli.source import Source
    from discontrolface.face.parameters import FaceParameters

SET = ("light", "shape", "albedo")  # parts of another face that a face which moves can take


def edit_clip(
    clip: Path,
    output: Path,
    controls: Controls,
    source: Source,
    sampling: SamplingOptions,
    device: str,
    cache_dir: Path | None,
    overwrite: bool,
    quiet: bool,
    unused: Mapping[str, Any],  # options of `edit` that are for photos: {option: what was given}
) -> None:
    """Edit a clip. What is asked is added to every frame's own parameters; the sound is kept; stopped, the same command goes on."""
    from discontrolface.common.parallel import cores, single_thread
    from discontrolface.common.video import check_length, clip_frames, clip_info
    from discontrolface.editing.animate import sampling_of_frames
    from discontrolface.editing.clip import edit_clip as frames_of
    from discontrolface.editing.clip import kept_frames

    check(clip, output, controls, source, overwrite, unused)
    values = controls.checked_values(amounts=True)
    info, without = clip_info(clip), 0
    check_length(output, info.frames, info.size)
    reader = source.reader(device)
    read = controls.others(reader)
    check_confidence({controls.named[part]: other for part, other in read.items()}.items(), strict=False)
    others = {part: other.parameters for part, other in read.items()}
    editor = source.editor(source.folder(), device, cache_dir, reader)
    chosen = sampling_of_frames(editor.preset.sampling).with_choices(sampling.choices())
    kept = kept_frames(output, editor, clip, (values, sorted((part, other.to_json()) for part, other in others.items())), chosen)
    single_thread()  # every core has frames of its own

    def change(face: FaceParameters) -> FaceParameters:
        from discontrolface.face.added import with_added

        for part, other in others.items():
            face = face.take_from(other, part)
        return with_added(face, values)

    def told(done: int, seen: bool) -> None:
        nonlocal without
        without += not seen
        update(done, info.frames)

    with progress_bar("editing", quiet) as update:
        frames = frames_of(editor, clip_frames(clip), str(clip), change, chosen, kept, told, cores())
        write_marked(output, frames, info.rate, clip, overwrite, editor.base_id)
    kept.remove()
    if without:
        say(f"no face found in {counted(without)} of {clip}; there the clip stays as it is", err=True)
    say(f"wrote {output}")


def check(clip: Path, output: Path, controls: Controls, source: Source, overwrite: bool, unused: Mapping[str, Any]) -> None:
    """Before the work: UserError for what cannot be, and for options that do nothing with a clip."""
    from discontrolface.common.video import check_ending

    check_ending(output)
    check_free(output, clip, overwrite)
    given = [f"{option} {value}" for option, value in unused.items() if value]
    if controls.parameters is not None:
        given.append(f"--parameters {controls.parameters}")
    given += [f"--{part}-from {face.photo}" for part, face in controls.faces.items() if part not in SET]
    if source.face is not None or source.face_box is not None:
        given.append("--face or --face-box")
    if given:
        raise UserError(f"{clip} is a clip, and {given[0]} is for photos; leave it out (of a clip's frames the largest face is edited)")
