"""docs/third-party.md: every package that an installation may bring along, and every file from others, with its licence. `make third-party`.

The list is what pip resolves for this interpreter and system with constraints.txt and all extras that users install; nothing is installed
for it. pip 24.3 or newer reads the licences (older ones do not report SPDX expressions).
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from discontrolface.weights.asset_table import ASSETS, PEER_ASSETS
from discontrolface.weights.shipped import SHIPPED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "third-party.md"
NOT_FOR_USERS: Final = ("dev", "docs", "head", "release")
# What a metadata field without an SPDX expression says, in SPDX's words.
SPDX: Final = {
    "Apache Software License": "Apache-2.0",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Boost Software License": "BSL-1.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# What a package's metadata does not say: other people's libraries inside its wheels.
INSIDE: Final = {
    "av": "its wheels carry FFmpeg (LGPL-2.1-or-later) built with x264 and x265 (GPL-2.0-or-later), so that the whole is under the GPL",
    "pillow-heif": "its wheels carry libheif and libde265 (LGPL-3.0) and x265 (GPL-2.0), so that the wheels are under the GPL",
    "face-recognition-models": "dlib's networks by Davis King; the one that finds 68 landmarks was trained on iBUG 300-W, which excludes "
    "commercial use. Only `evaluate` uses the package",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    args = parser.parse_args()
    args.page.write_text(page(resolved()), encoding="utf-8")
    print(args.page)


def user_extras() -> list[str]:
    """The extras that users install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [name for name in project["optional-dependencies"] if name not in NOT_FOR_USERS]


def resolved() -> dict[str, dict[str, Any]]:
    """{canonical name: metadata} of this package and all that it may bring, as pip finds it."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        what = f"{ROOT}[{','.join(user_extras())}]"
        how = ["--dry-run", "--ignore-installed", "--quiet", "--report", str(report), "--constraint", str(ROOT / "constraints.txt")]
        subprocess.run([sys.executable, "-m", "pip", "install", *how, what], check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {canonicalize_name(item["metadata"]["name"]): item["metadata"] for item in found}


def needed_by(requirements: Callable[[str], Iterable[str] | None], extras: Iterable[str]) -> dict[str, list[str]]:
    """{canonical name of a package: the extras that bring it}, "" for the package without extras; only what this system needs.

    requirements: a canonical name to what that distribution asks for, None where it is not known.
    """
    users: dict[str, list[str]] = {}
    for extra in ["", *extras]:
        todo, seen = [("discontrolface", frozenset([extra]))], set()
        while todo:
            name, wanted = todo.pop()
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            for text in requirements(name) or ():
                requirement = Requirement(text)
                if requirement.marker is None or any(
                    requirement.marker.evaluate({**default_environment(), "extra": e}) for e in wanted | {""}
                ):
                    todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
        for name in {name for name, _ in seen} - {"discontrolface"}:
            users.setdefault(name, []).append(extra)
    return users


def licence(metadata: Mapping[str, Any]) -> str:
    """SPDX expression of a package, from its expression, its short licence field, or its classifiers, in this order. Exits where all are silent."""
    if metadata.get("license_expression"):
        return str(metadata["license_expression"])
    classes = [text.split(" :: ")[-1] for text in metadata.get("classifier") or () if text.startswith("License :: OSI Approved :: ")]
    said = (metadata.get("license") or "").strip()
    if said and len(said) < 60 and "\n" not in said and said != "BSD":
        return SPDX.get(said, said)
    if not classes:
        sys.exit(f"{metadata['name']} does not say its licence; look it up")
    return " AND ".join(sorted({SPDX.get(text, text) for text in classes}))


def rows(packages: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    """(name, version, licence, who needs it) in alphabetical order."""
    users = needed_by(lambda name: packages[name].get("requires_dist") if name in packages else None, user_extras())
    return [
        (
            metadata["name"],
            metadata["version"].partition("+")[0],
            licence(metadata),
            "always" if "" in users[name] else ", ".join(users[name]),
        )
        for name, metadata in sorted(packages.items())
        if name != "discontrolface"
    ]


def page(packages: Mapping[str, Mapping[str, Any]]) -> str:
    """The page in Markdown."""
    listed = rows(packages)
    lines = [
        "# Third parties",
        "",
        "Made by `make third-party`; do not edit. What an installation brings along (versions of constraints.txt, on Linux x86-64 with CPython "
        f"{sys.version_info.major}.{sys.version_info.minor}; other systems differ in a few), and whose files are in the package. "
        "Licences are those that the packages state, in SPDX's words. [NOTICE](../NOTICE) names the authors.",
        "",
        f"## Packages ({len(listed)})",
        "",
        "A PyTorch for NVIDIA's GPUs brings NVIDIA's libraries too, under NVIDIA's licences; they are not listed.",
        "",
        "| package | version | licence | needed by |",
        "|---|---|---|---|",
        *(f"| {name} | {version} | {said} | {by} |" for name, version, said, by in listed),
        "",
        "What the metadata does not say:",
        "",
        *(f"- **{name}**: {what}." for name, what in sorted(INSIDE.items())),
        "",
        "## Files in the package",
        "",
        "| file | what | from | licence |",
        "|---|---|---|---|",
        *(f"| {file.path} | {file.what} | {linked(file.origin)} | {file.licence} |" for file in SHIPPED),
        "",
        "## Files that you bring",
        "",
        "Nothing of these is shipped or fetched; `discontrolface assets` lists them.",
        "",
        "| file | from | licence |",
        "|---|---|---|",
        *(f"| {asset.what} | {linked(asset.source)} | {linked(asset.licence)} |" for asset in (*ASSETS, *PEER_ASSETS)),
        "",
    ]
    return "\n".join(lines)


def linked(text: str) -> str:
    """Addresses as links."""
    return re.sub(r"https?://[^\s,)]+", r"<\g<0>>", text)


if __name__ == "__main__":
    main()
