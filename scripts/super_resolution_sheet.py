"""What the super-resolution network makes of photographs: `python scripts/super_resolution_sheet.py OUT.webp PHOTO ... --preset FOLDER`

A row for each photo: of four edits a square of the finished 512 px crop, without the network and with it. Only of people who may be shown
(docs/responsible-use.md), and who were kept out of training (docs/kept-back.txt).
"""

import argparse
from dataclasses import replace
from pathlib import Path

SIDE = 176  # pixels of a square
SIZE = 512  # of the edited crop
# Edit, and the middle of its square in the aligned crop, as shares of its side.
EDITS = {
    "teeth": ({"expression": {"jawOpen": 0.6}}, (0.5, 0.72)),
    "lids": ({"expression": {"blink": 1.0}}, (0.5, 0.46)),
    "cheek": ({"turn": (25, 0, 0)}, (0.27, 0.66)),
    "hair": ({"turn": (25, 0, 0)}, (0.24, 0.3)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--preset", required=True, help="a preset's folder that holds a super_resolution/ (docs/train-your-own.md)")
    args = parser.parse_args()

    import numpy as np
    from PIL import Image

    from discontrolface import Editor
    from discontrolface.common.files import replacing

    editor = Editor.load(args.preset)
    if editor.networks.larger is None:
        parser.error(f"{args.preset} has no super_resolution/; there is nothing to show")
    ways = (replace(editor.networks, larger=None), editor.networks)
    rows = []
    for photo in args.photos:
        person = editor.read(photo)
        targets = [person.parameters.edit(**edit) for edit, _ in EDITS.values()]  # type: ignore[arg-type]
        pictures = []
        for networks in ways:
            editor.networks = networks
            pictures.append([np.asarray(result.crop_at(SIZE)) for result in editor.edit_many(person, targets, resolution=SIZE)])
        squares = []
        for k, (_, (x, y)) in enumerate(EDITS.values()):
            left, top = (int(np.clip(share * SIZE - SIDE / 2, 0, SIZE - SIDE)) for share in (x, y))
            squares += [pictures[way][k][top : top + SIDE, left : left + SIDE] for way in range(len(ways))]
        rows.append(np.concatenate(squares, axis=1))
    with replacing(args.output, "the sheet") as file:
        Image.fromarray(np.concatenate(rows)).save(file, format="WEBP", quality=88, method=6)
    print(f"{args.output}: {', '.join(EDITS)}; each without the network, and with it")


if __name__ == "__main__":
    main()
