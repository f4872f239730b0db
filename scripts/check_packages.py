"""Wheel and source distribution, built and tried as a stranger would: `make check-packages`.

Both are built, looked at (`twine check`, size, what is in them), and installed into bare environments in empty folders, where
`discontrolface demo` and `discontrolface doctor` must work. `--quick` (CI) installs only the wheel; that the source distribution gives the
same wheel, file by file, is always checked.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
LARGEST = 45_000_000  # bytes of the wheel
SLOW = 300  # seconds of a first demo that are worth a remark; beside other checks it takes half of that


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="where the packages go")
    parser.add_argument("--quick", action="store_true", help="install the wheel only")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that folders for the moment go
    wheel, sdist = build(args.output.resolve())
    check_contents(wheel)
    for package in [wheel] if args.quick else [wheel, sdist]:
        with TemporaryDirectory() as folder:
            try_out(package, Path(folder))
    print("packages: all well")


def run(*command: object, cwd: Path = ROOT) -> str:
    """Standard output. The process ends where a command fails; its words are shown then. No PYTHONPATH: nothing of the clone is seen."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}\nended with {done.returncode}")
    return done.stdout


def build(output: Path) -> tuple[Path, Path]:
    """The wheel, and the source distribution that it is made from. The wheel that the clone gives must have the same files.

    In a copy of what git knows: builds leave folders behind and take old ones along, and other checks may read the clone meanwhile.
    """
    output.mkdir(parents=True, exist_ok=True)
    for old in [*output.glob("*.whl"), *output.glob("*.tar.gz")]:
        old.unlink()
    with TemporaryDirectory() as folder:
        clone, other = Path(folder) / "clone", Path(folder) / "other"
        for name in filter(None, run("git", "ls-files", "-z").split("\0")):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
        run(sys.executable, "-m", "build", "--outdir", output, cwd=clone)  # the source distribution from the clone, the wheel from that
        (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
        run(sys.executable, "-m", "build", "--wheel", "--outdir", other, cwd=clone)
        (direct,) = other.glob("*.whl")
        different = digests(direct).items() ^ digests(wheel).items()
        if different:
            sys.exit(f"the clone and the source distribution give other wheels: {sorted({name for name, _ in different})}")
    print(run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist).strip())
    return wheel, sdist


def digests(wheel: Path) -> dict[str, str]:
    """{name in the wheel: hash}"""
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def check_contents(wheel: Path) -> None:
    """Everything of the package that git knows is in the wheel, and nothing else but its metadata; it is not too large."""
    known = run("git", "ls-files", "src/discontrolface").split()
    there = {name for name in digests(wheel) if ".dist-info/" not in name}
    wrong = there ^ {name.removeprefix("src/") for name in known}
    if wrong:
        sys.exit(f"in the wheel or in the clone, not in both: {sorted(wrong)}")
    size = wheel.stat().st_size
    if size > LARGEST:
        sys.exit(f"{wheel.name} has {size / 1e6:.1f} MB; at most {LARGEST / 1e6:.0f} are meant")
    print(f"{wheel.name}: {len(there)} files, {size / 1e6:.1f} MB")


def try_out(package: Path, folder: Path) -> None:
    """Install into a bare environment, then the demo in an empty folder."""
    venv.create(folder / "env", with_pip=True)
    python, command, empty = folder / "env/bin/python", folder / "env/bin/discontrolface", folder / "empty"
    empty.mkdir()
    begin = time.monotonic()
    run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", package, cwd=empty)
    installed = time.monotonic()
    run(python, "-m", "pip", "check", cwd=empty)
    where = Path(run(python, "-c", "import discontrolface; print(discontrolface.__file__)", cwd=empty).strip())
    if not where.is_relative_to(folder.resolve()):
        sys.exit(f"{where} was used, not what was installed")
    run(command, "doctor", cwd=empty)
    start = time.monotonic()
    said = run(command, "demo", cwd=empty)
    took = time.monotonic() - start
    pictures = sorted((empty / "discontrolface-demo").glob("*.png"))
    if len(pictures) != 14:
        sys.exit(f"{len(pictures)} pictures in place of 14\n{said}")
    print(said.strip())
    print(
        f"{package.name}: installed in {installed - begin:.0f} s, demo {took:.0f} s{' (slow; is the machine busy?)' if took > SLOW else ''}"
    )


if __name__ == "__main__":
    main()
