"""Edit a real photo: make thirteen edits of it, put them on one sheet. `make demo` runs this."""

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from discontrolface import Person


def head_box(person: "Person") -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the aligned crop in the photo, whole pixels."""
    import numpy as np

    size = person.crop.size
    corners = person.crop.to_photo(np.array([[0, 0], [size, 0], [0, size], [size, size]], float))
    left, top = np.maximum(corners.min(0), 0).round().astype(int)
    right, bottom = np.minimum(corners.max(0), person.photo.size).round().astype(int)
    return int(left), int(top), int(right), int(bottom)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=Path(__file__).parent / "astronaut.png")
    parser.add_argument("--output", type=Path, default=Path("out/demo"))
    parser.add_argument("--start", default=None, help="noise, draft or inverted")
    args = parser.parse_args()

    seconds: dict[str, float] = {}
    begin = time.monotonic()
    from discontrolface import Editor
    from discontrolface.common.images import save_photo
    from discontrolface.editing.example_edits import EDITS
    from discontrolface.editing.sheet import contact_sheet

    editor = Editor.load("open")
    seconds["load"] = time.monotonic() - begin

    begin = time.monotonic()
    person = editor.read(args.photo)
    seconds["read"] = time.monotonic() - begin
    print(f"read {args.photo.name}: landmark error {person.fit.mean_percent:.2f} % of the face's width")

    from PIL import Image

    args.output.mkdir(parents=True, exist_ok=True)
    box = head_box(person)
    tiles = [("photo", Image.fromarray(person.photo.array)), ("its face", Image.fromarray(person.photo.array).crop(box))]
    begin = time.monotonic()
    for name, wanted in EDITS.items():
        result = editor.edit(person, person.parameters.edit(**wanted), start=args.start)
        save_photo(result.image, args.output / f"{name.replace(' ', '_')}.png", overwrite=True, info=result.record)
        tiles.append((name, result.image.crop(box)))
    seconds[f"{len(EDITS)} edits"] = time.monotonic() - begin
    sheet = args.output / "sheet.png"
    save_photo(contact_sheet(tiles, columns=5, tile=320), sheet, overwrite=True, info=result.record)

    print("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()) + f", all {sum(seconds.values()):.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform != "darwin" else 1024**3)
    print(f"peak memory: {peak:.1f} GB")
    print(f"look at {sheet}")


if __name__ == "__main__":
    main()
