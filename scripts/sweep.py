"""A moving picture of one face: five controls, one after the other, there and back. `make sweep` runs this; README shows it."""

import argparse
import math
from pathlib import Path

from discontrolface.common.example import example_photo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=example_photo())
    parser.add_argument("--output", type=Path, default=Path("docs/sweep.webp"))
    parser.add_argument("--size", type=int, default=288, help="pixels")
    parser.add_argument("--frames", type=int, default=9, help="of each control")
    args = parser.parse_args()

    from PIL import Image

    from discontrolface import Editor
    from discontrolface.common.files import replacing

    editor = Editor.load("open")
    person = editor.read(args.photo)
    own = person.parameters
    there_and_back = [math.sin(math.pi * k / (args.frames - 1)) for k in range(args.frames)]
    smile = own.expression_dict()["mouthSmileLeft"]
    targets = [
        *(own.edit(yaw=own.yaw + 16 * math.sin(2 * math.pi * k / (2 * args.frames - 1))) for k in range(2 * args.frames)),
        *(own.edit(expression={"blink": s}) for s in there_and_back),
        *(own.edit(expression={"smile": smile * (1 - s)}) for s in there_and_back),
        *(own.edit(expression={"jawOpen": 0.5 * s, "browsUp": s}) for s in there_and_back),
        *(own.edit(light_rotation=70 * s) for s in there_and_back),
    ]
    pictures = [Image.fromarray(result.crop_at(args.size)) for result in editor.edit_many(person, targets)]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.output, "the moving picture") as file:
        pictures[0].save(
            file, format="WEBP", save_all=True, append_images=pictures[1:], duration=90, loop=0, quality=72, method=6, minimize_size=True
        )
    print(f"{len(pictures)} frames, {args.output.stat().st_size / 1000:.0f} kB: {args.output}")


if __name__ == "__main__":
    main()
