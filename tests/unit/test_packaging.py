"""Procfile, Compose file, environment file and Dockerfile say what the code says."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from config.catalog import served_channels
from config.channels import EVENTS_QUEUE, JOBS_QUEUE
from config.settings import PREFIX, Settings
from providers import registry
from tests.conftest import ROOT

QUEUES = {*(channel.value for channel in served_channels()), EVENTS_QUEUE, JOBS_QUEUE}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def variables() -> set[str]:
    """Every variable that the code reads."""
    ours = {str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()}
    vendors = {
        f"{provider.environment.model_config['env_prefix']}{name}".upper()
        for provider in registry.load().values()
        for name in provider.environment.model_fields
    }
    return ours | vendors


def test_the_environment_file_lists_exactly_what_is_read() -> None:
    listed = re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == variables()


def test_the_environment_file_shows_the_defaults() -> None:
    shown = dict(re.findall(rf"^#({PREFIX}\w+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or name)
        if variable in shown and name != "home":
            assert shown[variable] == f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


@pytest.mark.parametrize("name", sorted(PROCFILE))
def test_each_line_of_the_procfile_starts_something_that_exists(name: str) -> None:
    command = PROCFILE[name].split()
    module = command[2] if command[:2] == ["python", "-m"] else command[1].split(":")[0]
    assert find_spec(module) is not None
    if module == "workers":
        assert command[3] in QUEUES


def test_every_queue_has_its_process_in_both_files() -> None:
    assert QUEUES | {"scheduler", "web"} == set(PROCFILE)
    assert set(PROCFILE) | {"postgres", "redis", "migrate"} == set(COMPOSE["services"])


@pytest.mark.parametrize("name", sorted(set(COMPOSE["services"]) - {"postgres", "redis", "migrate"}))
def test_compose_runs_what_the_procfile_runs(name: str) -> None:
    service = COMPOSE["services"][name]
    written = PROCFILE[name].replace("${PORT:-8000}", "8000").split()
    assert service["command"] == written
    assert set(service["environment"]) <= variables()
    assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_compose_lets_the_owners_servers_win() -> None:
    """What stands in `environment` beats .env, so it may only be a default."""
    for name, value in COMPOSE["x-fleet"]["environment"].items():
        assert value.startswith(f"${{{name}:-"), name


def test_compose_names_the_versions_we_test_on() -> None:
    assert COMPOSE["services"]["postgres"]["image"] == "postgres:17"
    assert all("healthcheck" in COMPOSE["services"][server] for server in ("postgres", "redis"))


def test_the_image_has_every_package_and_the_migrations() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    assert copied == PACKAGES | {"migrations"}
    assert "--require-hashes -r requirements-run.lock" in DOCKERFILE


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-run.lock"])
def test_locks_have_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in re.sub(r"#.*", "", text)
    pinned = re.findall(r"^[\w.\[\]-]+==\S+", text, re.MULTILINE)
    assert len(pinned) > 20
    for block in re.split(r"\n(?=\S)", text.strip()):
        if not block.startswith("#"):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_lock_names_the_extras_that_what_it_locks_asks_for() -> None:
    """An extra that the lock does not name is resolved anew: by pip's newest, which has no hash here."""
    locked = {
        name.lower(): {extra.strip() for extra in extras.split(",") if extra.strip()}
        for name, extras in re.findall(
            r"^([\w.-]+)(?:\[(.*?)\])?==", (ROOT / "requirements.lock").read_text(), re.MULTILINE
        )
    }
    for name in locked:
        try:
            asked = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # of another platform
        for requirement in map(Requirement, asked):
            if requirement.extras and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                assert requirement.extras <= locked[requirement.name.lower()], f"{name} asks for {requirement}"
