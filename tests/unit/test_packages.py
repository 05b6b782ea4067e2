"""The root packages have everyday names: nothing installed may stand in for them."""

import importlib
import importlib.metadata
import tomllib
from pathlib import Path

import pytest

from config.catalog import CATALOG
from config.channels import CHANNELS, Channel
from providers import registry
from tests.conftest import ROOT

PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "packages"
]
LINES_LIMIT = 400


@pytest.mark.parametrize("name", PACKAGES)
def test_root_package_is_ours(name: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(name, [])) - {"delivery-fleet"}
    assert not owners, f"{name!r} is also shipped by {owners}"
    file = importlib.import_module(name).__file__
    assert file
    assert Path(file).is_relative_to(ROOT)


@pytest.mark.parametrize(
    "path", sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")), ids=str
)
def test_a_module_says_what_it_is_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < LINES_LIMIT
    assert text.lstrip().startswith('"""')


def test_every_provider_of_the_catalog_can_be_loaded() -> None:
    assert {name: provider.name for name, provider in registry.load().items()} == {name: name for name in CATALOG}


def test_every_channel_has_its_facts() -> None:
    assert set(CHANNELS) == set(Channel)
