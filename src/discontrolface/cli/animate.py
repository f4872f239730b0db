"""`discontrolface animate`: a photo does what somebody does in a clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.clip_files import check_free, counted, write_marked
from discontrolface.cli.common import (
    CacheOption,
    DeviceOption,
    OverwriteOption,
    PhotoArgument,
    QuietOption,
    grouped,
    plain_errors,
    progress_bar,
    say,
)
from discontrolface.cli.personalize import run_personalize
from discontrolface.cli.sampling import SamplingOptions
from discontrolface.cli.source import Source

if TYPE_CHECKING:
    from discontrolface.editing.performance import Performance
    from discontrolface.editing.reading import Reader


@grouped
def animate(
    photo: PhotoArgument,
    drive: Annotated[Path, typer.Option(help="The clip that shows what to do, or a file of parameters (.jsonl).")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The moving picture: .mp4, .webm, .mkv, .mov or .gif; no ending: a folder of PNG frames.")
    ],
    source: Source,
    sampling: SamplingOptions,
    parts: Annotated[str, typer.Option(help="What is taken of the clip: expression, pose, gaze.")] = "expression,pose,gaze",
    absolute: Annotated[bool, typer.Option("--absolute", help="Take the clip's values, not its changes against its own rest.")] = False,
    multiplier: Annotated[float, typer.Option(help="How much of the movement, 0 to 2.")] = 1.0,
    smoothing: Annotated[float, typer.Option(help="Seconds over which the movement is smoothed; 0: not.")] = 0.04,
    save_parameters: Annotated[Path | None, typer.Option(help="Also write what was read of the clip (.jsonl).")] = None,
    personalize: Annotated[bool, typer.Option("--personalize", help="Adapt the networks to the person first.")] = False,
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a photo move as a clip does: expression, head and gaze of every frame, smoothed over time; the clip's sound is kept.

    Stopped, the same command goes on where it was.
    """
    with plain_errors():
        from discontrolface.common.parallel import cores, single_thread
        from discontrolface.common.video import check_ending, check_length
        from discontrolface.editing.animate import animate as frames_of
        from discontrolface.editing.animate import kept_frames, processes_beside, sampling_of_frames
        from discontrolface.editing.performance import Driving, driven, save_performance

        check_ending(output)
        check_free(output, drive, overwrite)
        if save_parameters is not None:
            check_free(save_parameters, drive, overwrite)
        driving = Driving(tuple(p.strip() for p in parts.split(",") if p.strip()), not absolute, multiplier, smoothing)
        folder = source.folder()
        reader = source.reader(device)
        person = source.read(reader, photo)
        performance = performed(reader, drive, quiet)
        if lost := sum(frame is None for frame in performance.frames):
            say(
                f"no face found in {lost} of {len(performance.frames)} frames of {drive}; the movement goes straight on over them", err=True
            )
        if save_parameters is not None:
            save_performance(performance, save_parameters, overwrite)
        targets = list(driven(person.parameters, performance, driving))
        check_length(output, len(targets), person.photo.size)
        editor = source.editor(folder, device, cache_dir, reader)
        if personalize:
            person = run_personalize(editor, person, 0, quiet)
        chosen = sampling_of_frames(editor.preset.sampling).with_choices(sampling.choices())
        kept = kept_frames(output, editor, person, targets, chosen)
        single_thread()  # every core has batches of its own
        with progress_bar("animating", quiet) as update:
            frames = frames_of(editor, person, targets, chosen, kept, update, cores(), processes_beside(editor, len(targets)))
            sound = drive if drive.suffix.lower() != ".jsonl" else None
            write_marked(output, frames, performance.rate, sound, overwrite, editor.base_id)
        kept.remove()
        say(f"wrote {output}: {counted(len(targets))}, {float(len(targets) / performance.rate):.1f} s")


def performed(reader: Reader, drive: Path, quiet: bool) -> Performance:
    """What is to be done, from a file of parameters or read of a clip."""
    from discontrolface.common.parallel import cores
    from discontrolface.common.video import clip_frames, clip_info
    from discontrolface.editing.performance import load_performance, read_performance

    if drive.suffix.lower() == ".jsonl":
        return load_performance(drive)
    info = clip_info(drive)
    with progress_bar("reading the clip", quiet) as update:
        return read_performance(reader, clip_frames(drive), info.rate, str(drive), lambda done: update(done, info.frames), cores())
