"""The environments of tox.ini that no build runs: what they need is really put there."""

from __future__ import annotations

import configparser
import re
import runpy
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_an_environment_with_extras_installs_the_package_that_has_them() -> None:
    """Without it tox leaves them out, and says nothing."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    asking = {name: own.get("package") for name, own in tox.items() if "extras" in own}
    assert set(asking.values()) == {"wheel"}, asking


def test_the_oldest_releases_are_known_of_everything_that_is_asked_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {re.split(r"[^\w.-]", text)[0] for own in extras.values() for text in own}
    found = list(runpy.run_path(str(ROOT / "tests/project/lowest.py"))["oldest"]())
    assert named <= {re.split(r"[^\w.-]", text)[0] for text in found if "==" in text}
