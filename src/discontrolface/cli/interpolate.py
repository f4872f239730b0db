"""`discontrolface interpolate`: from one face to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import DeviceOption, OverwriteOption, check_outputs, plain_errors, say
from discontrolface.cli.source import AssetsOption

DecodingStartOption = Annotated[
    str | None,
    typer.Option(
        "--start",
        help="inverted (official): each photo's own x_T; draft: the crops themselves under a little noise; noise: one x_T for all. "
        "[default: inverted where the backbone predicts noise, as the official one; draft for the open preset, which inverts badly: "
        "its frames are a soft cross-fade, little more]",
    ),
]
DraftStrengthOption = Annotated[float, typer.Option("--strength", help="With --start draft: how much noise the crops get, up to 1.")]
InversionStepsOption = Annotated[int, typer.Option("--inversion-steps", help="With --start inverted.", min=1)]


def interpolate(
    first: Annotated[Path, typer.Argument(help="The photo to start from.", metavar="A")],
    second: Annotated[Path, typer.Argument(help="The photo to end at.", metavar="B")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A row of frames (.png, .jpg, .webp) or an animation (.gif).")],
    frames: Annotated[int, typer.Option(help="From A to B, both included.", min=2, max=256)] = 8,
    start: DecodingStartOption = None,
    strength: DraftStrengthOption = 0.1,
    steps: Annotated[int, typer.Option(help="Denoising steps of every frame.", min=1)] = 20,
    inversion_steps: InversionStepsOption = 250,
    seed: Annotated[int, typer.Option(help="Of the noise, without --start inverted.")] = 0,
    preset: Annotated[
        str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights; only the backbone is used.")
    ] = "open",
    assets_dir: AssetsOption = None,
    device: DeviceOption = "cpu",
    overwrite: OverwriteOption = False,
) -> None:
    """The faces between two photos: z_sem on a line, x_T on a great circle, by the backbone alone (Diff-AE, Section 5.2)."""
    with plain_errors():
        from discontrolface.common.animation import check_animation_output

        moving = output.suffix.lower() == ".gif"
        if moving:
            check_animation_output(output, overwrite)
        else:
            check_outputs(pictures=[output], texts=[], overwrite=overwrite)
        import torch

        from discontrolface.common.animation import save_animation
        from discontrolface.common.images import save_photo
        from discontrolface.common.provenance import make_record
        from discontrolface.common.weights_id import weights_id
        from discontrolface.diffusion.decoding import Decoding, usual_start
        from discontrolface.diffusion.interpolation import interpolate as run
        from discontrolface.editing.aligned import aligned_picture, to_images
        from discontrolface.editing.sheet import picture_grid
        from discontrolface.face.landmarks import FaceLandmarker
        from discontrolface.weights.codes import codes_folder, open_backbone

        model = open_backbone(codes_folder(preset, assets_dir), device)
        decoding = Decoding(start or usual_start(model), strength, steps, inversion_steps)
        landmarker = FaceLandmarker()
        (photo_a, a), (photo_b, b) = (aligned_picture(path, model.image_size, landmarker) for path in (first, second))
        weights = torch.linspace(0, 1, frames).tolist()
        pictures = to_images(run(model, a.to(device), b.to(device), weights, decoding, torch.Generator().manual_seed(seed)))
        how = {"start": decoding.start, "strength": strength, "steps": steps, "frames": frames}
        record = make_record(
            {"interpolated_with": photo_b.sha256}, seed=seed, weights=weights_id(model), source_sha256=photo_a.sha256, **how
        )
        if moving:
            save_animation(pictures, output, overwrite, record)
        else:
            save_photo(picture_grid(pictures, columns=frames), output, overwrite, record)
        say(f"wrote {output}")
