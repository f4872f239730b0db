"""docs/third-party.md names every package that users' extras bring and every file from others, with the versions of constraints.txt and a licence."""

import re
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from types import ModuleType

import pytest
from helpers.scripts import load_script
from packaging.utils import canonicalize_name

from discontrolface.weights.asset_table import ASSETS, PEER_ASSETS
from discontrolface.weights.shipped import SHIPPED

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/third-party.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("third_party")


def listed() -> dict[str, tuple[str, str, str]]:
    """{canonical name: (version, licence, needed by)}, read off the page."""
    part = PAGE.split("## Packages")[1].split("## Files in the package")[0]
    rows = re.findall(r"^\| (\S+) \| (\d\S*) \| ([^|]+) \| ([^|]+) \|$", part, re.M)
    return {canonicalize_name(name): (version, licence, users) for name, version, licence, users in rows}


def installed_requirements(name: str) -> list[str] | None:
    try:
        return requires(name)
    except PackageNotFoundError:  # an extra that is not installed here
        return None


def test_every_package_of_the_users_extras_is_listed(script: ModuleType) -> None:
    """The closure of what is installed here: each package, under each extra that brings it."""
    there = listed()
    users = script.needed_by(installed_requirements, script.user_extras())
    assert len(users) > 80
    for name, extras in users.items():
        assert name in there, f"{name} is missing: make third-party"
        said = set(there[name][2].split(", "))
        assert said == {"always"} or set(extras) <= said, f"{name} is also needed by {extras}: make third-party"
        assert ("" in extras) == (said == {"always"}), name


def test_versions_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}
    for name, (version, _, _) in listed().items():
        assert pinned.get(name) == version, f"constraints.txt has {name} {pinned.get(name)}, the page {version}: make third-party"


def test_licences_are_those_that_the_packages_state(script: ModuleType) -> None:
    """Of the installed ones; none is unknown, and nothing that is always installed is under the GPL."""
    compared = 0
    for name, (version, licence, users) in listed().items():
        assert licence.strip(), name
        assert not (users == "always" and "GPL" in licence.replace("LGPL", "")), name
        try:
            there = metadata(name)
        except PackageNotFoundError:
            continue
        if there["Version"].partition("+")[0] == version:
            said = {
                key: there[field] for key, field in (("license_expression", "License-Expression"), ("license", "License"), ("name", "Name"))
            }
            assert script.licence({**said, "classifier": there.get_all("Classifier")}) == licence, name
            compared += 1
    assert compared > 60


def test_every_file_has_its_line() -> None:
    for file in SHIPPED:
        assert f"| {file.path} | {file.what} | " in PAGE, f"{file.path}: make third-party"
    for asset in (*ASSETS, *PEER_ASSETS):
        assert f"| {asset.what} | " in PAGE, f"{asset.key}: make third-party"


def test_the_notice_names_every_file_from_others() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for file in SHIPPED:
        assert Path(file.path).name in notice or "this project" in file.origin, file.path
    for words in ("Face Research Lab London Set", "GRID audiovisual sentence corpus", "CC BY 4.0"):
        assert words in notice
