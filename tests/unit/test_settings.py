"""The environment of a process: read once, every problem in one report, no secret in any of its words."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.catalog import BUNDLE_SIZE_LIMIT, CATALOG
from config.settings import SettingsError, load, load_together
from console import simulated
from tests.vendors import PROVIDERS, settings_of

KEY = base64.b64encode(b"k" * 32).decode()
VENDORS = [provider.environment for provider in PROVIDERS.values()]


def problems(environ: Mapping[str, str]) -> list[str]:
    """What is wrong with an environment."""
    with pytest.raises(SettingsError) as unusable:
        load_together(environ, VENDORS)
    assert all(problem in str(unusable.value) for problem in unusable.value.problems)
    return list(unusable.value.problems)


def test_an_empty_environment_is_a_whole_configuration() -> None:
    settings = load({})
    assert (settings.database_url, settings.redis_url, settings.sentry_dsn) == (None, None, None)
    assert (settings.port, settings.lease_seconds, settings.drain_seconds) == (8000, 60.0, 25.0)
    assert (settings.batch_size, settings.worker_threads, settings.default_limits) == (BUNDLE_SIZE_LIMIT, 4, "on")
    assert settings.home == Path(__file__).resolve().parents[2] / ".fleet"
    assert settings.keyring.keys == {}


def test_every_variable_is_read_under_its_name() -> None:
    settings = load(
        {
            "DATABASE_URL": "postgresql://app@db/fleet",
            "DATABASE_POOLER": "transaction",
            "REDIS_URL": "unix:///run/valkey.sock",
            "PORT": "0",
            "LOG_FORMAT": "json",
            "FLEET_LOG_LEVEL": "debug",
            "FLEET_LEASE_SECONDS": "1.5",
            "FLEET_RETRY_MAX_ATTEMPTS": "3",
            "FLEET_PUBLIC_URL": "https://fleet.acme.io/hooks/",
            "FLEET_ENCRYPTION_KEYS": f"one:{KEY}",
        }
    )
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://app@db/fleet"
    assert (settings.database_pooler, settings.port, settings.log_format) == ("transaction", 0, "json")
    assert (settings.log_level, settings.lease_seconds, settings.retry_max_attempts) == ("debug", 1.5, 3)
    assert settings.public_url == "https://fleet.acme.io/hooks", "what is put behind it begins with a slash"
    assert settings.keyring.keys == {"one": b"k" * 32}


def test_a_variable_without_the_prefix_is_another_programs() -> None:
    settings = load({"HOME": "/root", "LOG_LEVEL": "debug", "LEASE_SECONDS": "1", "ENCRYPTION_KEYS": "x"})
    assert settings == load({})


def test_all_problems_are_in_one_report_with_the_vendors_own() -> None:
    found = problems(
        {
            "DATABASE_URL": "mysql://db",
            "REDIS_URL": "http://cache",
            "PORT": "http",
            "FLEET_LEASE_SECONDS": "0",
            "FLEET_LEASE_SECOND": "60",
            "FLEET_ENCRYPTION_KEYS": "x",
            "RESEND_API_URL": "api.resend.com",
            "TWILIO_API_URL": "ftp://twilio",
        }
    )
    assert {problem.partition(":")[0] for problem in found} == {
        *("DATABASE_URL", "REDIS_URL", "PORT", "FLEET_LEASE_SECONDS", "FLEET_LEASE_SECOND", "FLEET_ENCRYPTION_KEYS"),
        *("RESEND_API_URL", "TWILIO_API_URL"),
    }
    assert len(found) == 8


def test_a_setting_that_nobody_knows_is_a_problem_however_it_is_written() -> None:
    assert problems({"FLEET_RETRY_BASE": "1"}) == ["FLEET_RETRY_BASE: no such setting (.env.example lists them all)"]
    assert problems({"FLEET_": "1", "FLEET_HOMES": ""}) != []
    assert load({"FLEETS": "1", "MY_FLEET_HOME": "x"}) == load({})


@pytest.mark.parametrize("name", ["DATABASE_URL", "FLEET_LEASE_SECONDS", "FLEET_ENCRYPTION_KEYS", "PORT", "LOG_FORMAT"])
def test_empty_is_not_set(name: str) -> None:
    assert load({name: ""}) == load({})


def test_an_empty_vendor_setting_is_not_set() -> None:
    for name, facts in CATALOG.items():
        assert settings_of(name, {facts.key_variable: "", facts.url_variable: ""}) == settings_of(name, {})


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "outside"),
    [
        ("PORT", "0", "65535", ("-1", "65536", "8000.5", "http")),
        ("FLEET_LEASE_SECONDS", "1", "3600", ("0.9", "3601", "nan", "inf", "a minute")),
        ("FLEET_DRAIN_SECONDS", "0", "600", ("-0.1", "601", "nan")),
        ("FLEET_WORKER_THREADS", "1", "64", ("0", "65", "two")),
        ("FLEET_BATCH_SIZE", "1", "100", ("0", "101")),
        ("FLEET_RETRY_BASE_SECONDS", "0.001", "3600", ("0", "-1", "inf")),
        ("FLEET_RETRY_MAX_ATTEMPTS", "1", "100", ("0", "101")),
        ("FLEET_RECONCILE_GRACE_SECONDS", "0", "86400", ("-1", "inf")),
        ("FLEET_RECONCILE_HORIZON_SECONDS", "0", "86400", ("-1", "nan")),
        ("FLEET_LOG_LEVEL", "debug", "error", ("trace", "DEBUG ")),
        ("LOG_FORMAT", "console", "json", ("xml",)),
        ("DATABASE_POOLER", "none", "transaction", ("session",)),
        ("FLEET_DEFAULT_LIMITS", "on", "off", ("yes",)),
    ],
)
def test_the_edges_of_each_range(name: str, lowest: str, highest: str, outside: tuple[str, ...]) -> None:
    for inside in (lowest, highest):
        load({name: inside})
    for value in outside:
        (problem,) = problems({name: value})
        assert problem.startswith(f"{name}: ")


@pytest.mark.parametrize(
    "url",
    [
        *("https://", "http:///x", "//acme.io", "acme.io", "https://acme.io?x=1", "https://acme.io#x", "https://a b"),
        *("https://ada:secret@acme.io", "https://[::1", "https://acme.io:port", "https://acme.io:0", "https://a\\b"),
        *("https://acme.io\n", "ws://acme.io"),
    ],
)
def test_an_address_is_one_that_a_path_can_follow(url: str) -> None:
    (problem,) = problems({"FLEET_PUBLIC_URL": url})
    assert "http:// or https://" in problem
    assert "secret" not in problem


SECRETS: Mapping[str, str] = {
    "DATABASE_URL": "postgresql://app:hunter2@db/fleet",
    "DATABASE_LISTEN_URL": "postgres://app:hunter2@db/fleet",
    "REDIS_URL": "rediss://:hunter2@cache:6379/0",
    "SENTRY_DSN": "https://hunter2@o1.ingest.sentry.io/1",
    "FLEET_SECRET_KEY": "hunter2" * 5,
    "FLEET_ENCRYPTION_KEYS": f"hunter:{KEY}",
    "RESEND_API_KEY": "hunter2",
    "RESEND_WEBHOOK_SECRET": f"whsec_{KEY}",
    "TWILIO_AUTH_TOKEN": "hunter2",
    "VAPI_PRIVATE_KEY": "hunter2",
    "VAPI_WEBHOOK_SECRET": "hunter2" * 3,
}


@pytest.mark.parametrize(
    ("variable", "secret", "said"),
    [
        ("RESEND_WEBHOOK_SECRET", "hunter2", "whsec_"),
        ("RESEND_WEBHOOK_SECRET", "whsec_aHVudGVyMg==", "at least 16 bytes"),
        ("RESEND_WEBHOOK_SECRET", f"whsec_{KEY} hunter2", "whsec_"),
        ("VAPI_WEBHOOK_SECRET", "hunter2hunter2x", "at least 16 characters"),
        ("VAPI_WEBHOOK_SECRET", "hunter2hunter2xy hunter2", "at least 16 characters"),
    ],
)
def test_a_secret_that_proves_nothing_is_a_problem_at_the_start_beside_all_others(
    variable: str, secret: str, said: str
) -> None:
    problem, other = sorted(problems({variable: secret, "PORT": "x"}), key=lambda one: one.startswith("PORT"))
    assert problem.startswith(f"{variable}: ")
    assert said in problem
    assert other.startswith("PORT: ")


@pytest.mark.parametrize("secret", [f"whsec_{KEY}", KEY, f"whsec_{KEY} {KEY}", " "])
def test_a_key_with_and_without_its_prefix_and_two_while_they_change(secret: str) -> None:
    load_together({"RESEND_WEBHOOK_SECRET": secret}, VENDORS)


def test_no_secret_is_shown_in_print() -> None:
    settings, vendors = load_together(SECRETS, VENDORS)
    shown = " ".join(f"{one!r} {one} {one.model_dump()} {one.model_dump_json()}" for one in (settings, *vendors))
    shown += repr(settings.keyring) + str(vars(settings))
    assert "hunter2" not in shown
    assert KEY not in shown


@pytest.mark.parametrize("broken", [{"PORT": "hunter2"}, *({name: f"hunter2 {KEY}"} for name in SECRETS)])
def test_no_secret_is_shown_in_a_problem(broken: dict[str, Any]) -> None:
    # Beside a problem of its own, so that those of which any text will do are reported on as well.
    found = "\n".join(problems({**SECRETS, **broken, "FLEET_NO_SUCH": "hunter2"}))
    assert "hunter2" not in found
    assert KEY not in found


def test_settings_do_not_change_and_do_not_read_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_LEASE_SECONDS", "30")
    assert load({}).lease_seconds == 60
    assert load().lease_seconds == load(os.environ).lease_seconds == 30
    with pytest.raises(ValidationError):
        load({}).lease_seconds = 5.0  # type: ignore[misc]


@pytest.mark.parametrize(("lease", "margin", "timeout"), [(60.0, 2.0, 15.0), (8.0, 0.8, 2.0), (3600.0, 2.0, 15.0)])
def test_a_request_ends_while_its_lease_holds(lease: float, margin: float, timeout: float) -> None:
    settings = load({"FLEET_LEASE_SECONDS": str(lease)})
    assert settings.lease_margin_seconds == pytest.approx(margin)
    assert settings.request_timeout_seconds == pytest.approx(timeout)


def test_a_home_is_absolute_wherever_a_process_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load({"FLEET_HOME": "here"}).home == tmp_path / "here"
    assert load({"FLEET_HOME": "~/there"}).home == tmp_path / "there"


def test_each_vendor_reads_its_own_variables() -> None:
    _, found = load_together({f"{name.upper()}_API_URL": f"http://{name}.localhost/" for name in CATALOG}, VENDORS)
    for name, vendor in zip(PROVIDERS, found, strict=True):
        assert vendor.model_dump()["api_url"] == f"http://{name}.localhost"


def test_the_secrets_that_fleet_up_makes_up_are_secrets() -> None:
    environ = {variable: simulated._new_secret() for variable in simulated.SECRET_VARIABLES.values()}
    load_together(environ, VENDORS)
