"""The lowest versions that pyproject.toml allows, as constraints for pip, a line each: `make test-lowest` installs exactly these.

Only what the project itself asks for is pinned; what these need in turn is as new as they allow.
"""

import argparse
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", help="names with commas between them")
    parser.add_argument("--but", default="", help="packages that are left free, with commas between them")
    args = parser.parse_args()
    free = {canonicalize_name(name) for name in args.but.split(",")}
    for requirement in lowest([extra for extra in args.extras.split(",") if extra]):
        if canonicalize_name(requirement.name) not in free:
            print(requirement)


def lowest(extras: list[str]) -> Iterator[Requirement]:
    """`name==bound` of each direct dependency. SystemExit for one without a lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    todo, bounds = list(project["dependencies"]), {}
    seen = list(extras)
    for extra in seen:
        todo += project["optional-dependencies"][extra]
    while todo:
        requirement = Requirement(todo.pop())
        if requirement.name == project["name"]:
            new = [extra for extra in requirement.extras if extra not in seen]
            seen += new
            todo += [text for extra in new for text in project["optional-dependencies"][extra]]
            continue
        lower = [bound.version for bound in requirement.specifier if bound.operator == ">="]
        if len(lower) != 1:
            raise SystemExit(f"{requirement} has no lower bound in pyproject.toml")
        bounds[canonicalize_name(requirement.name)] = f"{requirement.name}=={lower[0]}"
    return (Requirement(text) for _, text in sorted(bounds.items()))


if __name__ == "__main__":
    main()
