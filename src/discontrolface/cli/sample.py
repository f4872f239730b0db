"""`discontrolface sample`: unconditional samples, faces that nobody has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import DeviceOption, OverwriteOption, check_outputs, plain_errors, say
from discontrolface.cli.source import AssetsOption

BATCH = 8  # faces at a time, so that memory does not grow with their number


def sample(
    output: Annotated[Path, typer.Option("-o", "--output", help="One picture of all faces: .png, .jpg or .webp.")],
    count: Annotated[int, typer.Option(help="Faces.", min=1, max=1024)] = 16,
    seed: Annotated[int, typer.Option(help="Same seed, same faces.")] = 0,
    steps: Annotated[int, typer.Option(help="Denoising steps, of the code and of the picture.", min=1)] = 20,
    solver: Annotated[str, typer.Option(help="ddim or dpm++.")] = "ddim",
    latent: Annotated[
        Path | None,
        typer.Option(
            help="The latent DPM of the backbone: the official checkpoint (ffhq256_autoenc_latent/last.ckpt), or a folder that `train latent` "
            "wrote. [default: the preset's folder latent/; the open preset has none, its backbone alone draws no faces]"
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights; only the backbone is used.")
    ] = "open",
    assets_dir: AssetsOption = None,
    device: DeviceOption = "cpu",
    overwrite: OverwriteOption = False,
) -> None:
    """Draw faces from noise: codes by the latent DPM, pictures by the backbone (Diff-AE, Section 5.4)."""
    with plain_errors():
        check_outputs(pictures=[output], texts=[], overwrite=overwrite)
        import torch

        from discontrolface.common.images import save_photo
        from discontrolface.common.provenance import DRAWN, make_record
        from discontrolface.common.weights_id import weights_id
        from discontrolface.diffusion.latent import sample_faces
        from discontrolface.editing.aligned import to_images
        from discontrolface.editing.sheet import picture_grid
        from discontrolface.weights.codes import codes_folder, open_backbone, open_latent

        folder = codes_folder(preset, assets_dir)
        model = open_backbone(folder, device)
        net = open_latent(latent, folder, model, device)
        generator = torch.Generator().manual_seed(seed)
        faces: list[torch.Tensor] = []
        while (left := count - sum(map(len, faces))) > 0:
            faces.append(sample_faces(model, net, min(left, BATCH), steps, steps, generator, solver).cpu())
        record = make_record({}, seed=seed, weights=weights_id(model, net), steps=steps, solver=solver, count=count, **DRAWN)
        save_photo(picture_grid(to_images(torch.cat(faces)), columns=max(1, round(count**0.5))), output, overwrite, record)
        say(f"wrote {output}")
