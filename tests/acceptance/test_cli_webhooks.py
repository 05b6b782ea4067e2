"""`fleet webhooks` as ops use it: what came in, what is not applied, and applying it again."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import environment
from tests.acceptance.conftest import fleet_here as fleet


@pytest.fixture
def env(tmp_path: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return environment(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url)


def event(owner: psycopg.Connection, state: str, provider: str = "twilio", age: str = "1 minute") -> int:
    """Store an event that is applied, waits, or was given up."""
    row = owner.execute(
        "INSERT INTO fleet.events (provider, tenant_id, event_id, kind, proves, provider_message_id, address, body,"
        " received_at, applied_at, next_try_at, tries)"
        " VALUES (%s, gen_random_uuid(), gen_random_uuid()::text, 'delivered', 'delivered', 'SM1', '+14155550100',"
        " '{}', now() - %s::interval, CASE %s WHEN 'applied' THEN now() END,"
        " CASE %s WHEN 'waiting' THEN now() + interval '1 minute' END, 3) RETURNING id",
        (provider, age, state, state),
    ).fetchone()
    assert row is not None
    return int(row[0])


def state_of(owner: psycopg.Connection, id_: int) -> Any:
    return owner.execute(
        "SELECT applied_at IS NULL, next_try_at <= now(), tries FROM fleet.events WHERE id = %s", (id_,)
    ).fetchone()


def test_what_came_in(env: dict[str, str], owner: psycopg.Connection) -> None:
    assert fleet("webhooks", "list", env=env).returncode == 4
    for state in ("applied", "applied", "waiting", "given_up"):
        event(owner, state)
    event(owner, "applied", age="2 days")

    (row,) = json.loads(fleet("webhooks", "list", "--json", env=env).stdout)["received"]
    assert {name: row[name] for name in ("received", "applied", "waiting", "given_up")} == {
        "received": 4, "applied": 2, "waiting": 1, "given_up": 1
    }  # fmt: skip
    listed = fleet("webhooks", "list", "--unapplied", "--json", env=env).stdout
    given_up, waiting = json.loads(listed)["unapplied"]
    assert (given_up["next_try_at"], given_up["provider_message_id"], given_up["tries"]) == (None, "SM1", 3)
    assert waiting["next_try_at"] is not None
    assert "+14155550100" not in listed
    assert fleet("webhooks", "list", "--provider", "resend", env=env).returncode == 4


def test_nothing_unapplied_is_hidden_by_a_default_or_by_a_name_that_is_none(
    env: dict[str, str], owner: psycopg.Connection
) -> None:
    event(owner, "given_up", age="40 days")
    assert len(json.loads(fleet("webhooks", "list", "--unapplied", "--json", env=env).stdout)["unapplied"]) == 1
    recent = fleet("webhooks", "list", "--unapplied", "--since", "24h", env=env)
    assert (recent.returncode, "nothing unapplied matches" in recent.stderr) == (4, True)
    for command in ("list", "replay"):
        misspelt = fleet("webhooks", command, "--provider", "twillio", env=env)
        assert (misspelt.returncode, "'twillio' is not one of" in misspelt.stderr) == (2, True)


def test_what_is_applied_again(env: dict[str, str], owner: psycopg.Connection) -> None:
    applied, waiting, given_up, resend = (
        event(owner, "applied"), event(owner, "waiting"), event(owner, "given_up"), event(owner, "given_up", "resend")
    )  # fmt: skip

    assert fleet("webhooks", "replay", "--yes", env=env).returncode == 2
    assert fleet("webhooks", "replay", "--given-up", env=env).returncode == 2, "nobody can be asked"
    dry = json.loads(fleet("webhooks", "replay", "--provider", "twilio", "--dry-run", env=env).stdout)
    assert (dry["matched"], dry["replayed"]) == (2, 0)
    done = json.loads(fleet("webhooks", "replay", "--given-up", "--provider", "twilio", "--yes", env=env).stdout)
    assert done == {"matched": 1, "replayed": 1, "dry_run": False}
    assert state_of(owner, given_up) == (True, True, 0)
    assert state_of(owner, resend)[1] is None
    assert fleet("webhooks", "replay", str(applied), "--yes", env=env).returncode == 4
    done = json.loads(fleet("webhooks", "replay", str(applied), str(waiting), "--applied", "--yes", env=env).stdout)
    assert done["replayed"] == 2
    assert state_of(owner, applied) == state_of(owner, waiting) == (True, True, 0)
    noted = owner.execute("SELECT sum((detail ->> 'events')::int) FROM fleet.audit_log WHERE action = 'replay_events'")
    assert noted.fetchone() == (3,)
