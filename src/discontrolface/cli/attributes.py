"""`discontrolface attributes`: directions in code space, from labelled pictures, and a photo moved along them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import (
    DeviceOption,
    OverwriteOption,
    QuietOption,
    check_outputs,
    parse_pairs,
    plain_errors,
    progress_bar,
    say,
)
from discontrolface.cli.interpolate import DecodingStartOption, DraftStrengthOption, InversionStepsOption
from discontrolface.cli.source import AssetsOption

attributes_app = typer.Typer(
    help="Attributes on z_sem: train directions from labelled pictures, move a photo along them.", no_args_is_help=True
)
PresetOption = Annotated[str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights; only the backbone is used.")]


@attributes_app.command("train")
def attributes_train(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures of faces.", metavar="FOLDER")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The directions: .safetensors.")],
    labels: Annotated[
        Path | None,
        typer.Option(help="A table: file,smiling,... with one row a picture, 1: has it, 0 or -1: has not. [default: FOLDER/labels.csv]"),
    ] = None,
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are FFHQ-aligned crops already.")] = False,
    preset: PresetOption = "open",
    assets_dir: AssetsOption = None,
    device: DeviceOption = "cpu",
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train one direction a column of the table: a linear classifier on the pictures' codes (Diff-AE, Section 5.3)."""
    with plain_errors():
        from discontrolface.common.text_files import check_text_output
        from discontrolface.training.labels import codes_of, read_labels

        check_text_output(output, overwrite, ".safetensors")
        table = read_labels(labels or folder / "labels.csv", folder)
        from discontrolface.diffusion.attributes import train_attributes
        from discontrolface.weights.codes import codes_folder, open_backbone

        model = open_backbone(codes_folder(preset, assets_dir), device)
        with progress_bar("encoding", quiet) as update:
            z = codes_of(model, table.paths, aligned, device, update)
        directions = train_attributes(table.names, z, table.values)
        directions.save(output)
        right = ((directions.score(z) > 0.5) == (table.values > 0)).double().mean(0).tolist()
        told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in zip(table.names, right, strict=True))
        say(f"wrote {output}; pictures told apart, of those trained on: {told}")


@attributes_app.command("apply")
def attributes_apply(
    photo: Annotated[Path, typer.Argument(help="The photo.", metavar="PHOTO")],
    directions: Annotated[
        Path,
        typer.Option(help="What `attributes train` wrote, or the official classifier (ffhq256_autoenc_cls/last.ckpt: CelebA's 40)."),
    ],
    amounts: Annotated[
        str,
        typer.Option("--set", help="How far along which: smiling=0.3 is clear and natural, negative takes away.", metavar="NAME=VALUE,..."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The edited crop: .png, .jpg or .webp.")],
    start: DecodingStartOption = None,
    strength: DraftStrengthOption = 0.1,
    steps: Annotated[int, typer.Option(help="Denoising steps.", min=1)] = 20,
    inversion_steps: InversionStepsOption = 250,
    seed: Annotated[int, typer.Option(help="Of the noise, without --start inverted.")] = 0,
    aligned: Annotated[bool, typer.Option("--aligned", help="The photo is an FFHQ-aligned crop already.")] = False,
    preset: PresetOption = "open",
    assets_dir: AssetsOption = None,
    device: DeviceOption = "cpu",
    overwrite: OverwriteOption = False,
) -> None:
    """Move a photo's code along directions and decode it by the backbone alone: the aligned crop, as the official notebook makes it.

    The open preset's backbone draws little from its code; expect a slight change of a soft picture.
    """
    with plain_errors():
        check_outputs(pictures=[output], texts=[], overwrite=overwrite)
        values = parse_pairs(amounts, "--set")
        import torch

        from discontrolface.common.images import save_photo
        from discontrolface.common.provenance import make_record
        from discontrolface.common.weights_id import weights_id
        from discontrolface.diffusion.attributes import edit_attributes
        from discontrolface.diffusion.decoding import Decoding, usual_start
        from discontrolface.editing.aligned import aligned_picture, to_images
        from discontrolface.face.landmarks import FaceLandmarker
        from discontrolface.weights.codes import codes_folder, open_backbone, open_directions

        known = open_directions(directions)
        for name in values:
            known.row(name)
        model = open_backbone(codes_folder(preset, assets_dir), device)
        decoding = Decoding(start or usual_start(model), strength, steps, inversion_steps)
        source, crop = aligned_picture(photo, model.image_size, None if aligned else FaceLandmarker())
        generator = torch.Generator().manual_seed(seed)
        moved = edit_attributes(model, crop.to(device), known.to(device), values, decoding, generator)
        how = {"start": decoding.start, "strength": strength, "steps": steps}
        record = make_record({"attributes": values}, seed=seed, weights=weights_id(model), source_sha256=source.sha256, **how)
        save_photo(to_images(moved)[0], output, overwrite, record)
        say(f"wrote {output}")
