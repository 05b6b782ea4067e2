"""The command as support uses it: by id, by filter, in scripts."""

import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.acceptance.conftest import environment
from tests.acceptance.conftest import fleet_here as fleet
from tests.acceptance.test_up import fleet as fleet_itself
from tests.factories import insert, status_of


@pytest.fixture
def env(tmp_path: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return environment(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url)


def failed(owner: psycopg.Connection, **columns: Any) -> Any:
    return insert(owner, status="failed", error_class="rejected", error_code="21211", error_message="bad", **columns)


def test_find_and_read(env: dict[str, str], owner: psycopg.Connection) -> None:
    id_ = failed(owner)
    insert(owner, "sms")

    listed = json.loads(fleet("messages", "list", "--status", "failed", "--json", env=env).stdout)
    assert [one["id"] for one in listed["messages"]] == [str(id_)]
    assert listed["messages"][0]["recipient"] == "d…@resend.dev"
    shown = json.loads(fleet("messages", "get", str(id_), env=env).stdout)
    assert (shown["message"]["error_code"], shown["attempts"]) == ("21211", [])
    assert "delivered@resend.dev" not in json.dumps(shown)
    whole = json.loads(fleet("messages", "get", str(id_), "--unmasked", env=env).stdout)
    assert whole["message"]["recipient_email"] == "delivered@resend.dev"
    assert whole["message"]["payload"]["subject"] == "Hello"
    assert json.loads(fleet("messages", "list", "--to", "+1 415 555 0100", env=env).stdout)["messages"]
    assert fleet("messages", "list", "--error", "nothing", env=env).returncode == 4
    assert fleet("messages", "get", str(uuid4()), env=env).returncode == 4


def test_what_was_said_of_a_message_and_answered(env: dict[str, str], owner: psycopg.Connection) -> None:
    id_, workspace = insert(owner, "sms", status="sent"), uuid4()
    owner.execute(
        "INSERT INTO fleet.events (provider, tenant_id, event_id, kind, message_id, code, reason, body, applied_at)"
        " VALUES ('twilio', %s, 'x', 'failed', %s, '30003', 'not to +14155550100', '{}', now())",
        (uuid4(), id_),
    )
    owner.execute(
        "INSERT INTO fleet.replies (event_id, workspace_id, channel, address, message_id, text, received_at)"
        " VALUES (1, %s, 'sms', '+14155550100', %s, 'Call me: +14155550123', now())",
        (workspace, id_),
    )

    shown = json.loads(fleet("messages", "get", str(id_), env=env).stdout)
    (told,), (answer,) = shown["events"], shown["replies"]
    assert (told["kind"], told["code"], told["reason"]) == ("failed", "30003", "not to …100")
    assert (answer["address"], answer["text"]) == ("…100", "Call me: …123")
    (listed,) = json.loads(fleet("replies", "list", "--workspace", str(workspace), "--json", env=env).stdout)["replies"]
    assert listed == answer
    unmasked = json.loads(fleet("replies", "list", "--message", str(id_), "--unmasked", env=env).stdout)["replies"]
    assert [one["address"] for one in unmasked] == ["+14155550100"]
    assert fleet("replies", "list", "--workspace", str(uuid4()), env=env).returncode == 4


def test_retry_by_id_and_by_filter(env: dict[str, str], owner: psycopg.Connection) -> None:
    one, others, sent = failed(owner), [failed(owner, channel="sms") for _ in range(3)], insert(owner, status="sent")

    assert fleet("messages", "retry", str(one), env=env).returncode == 2  # nobody can be asked
    ended = fleet("messages", "retry", str(one), str(sent), "--yes", env=env)
    assert (ended.returncode, json.loads(ended.stdout)["retried"]) == (5, 1)
    dry = json.loads(fleet("messages", "retry", "--error", "21211", "--dry-run", env=env).stdout)
    assert (dry["matched"], dry["retried"]) == (3, 0)
    assert fleet("messages", "retry", "--error", "21211", "--yes", env=env).returncode == 0
    assert {status_of(owner, id_) for id_ in (one, *others)} == {"scheduled"}
    assert fleet("messages", "retry", "--error", "21211", "--yes", env=env).returncode == 4
    assert fleet("messages", "retry", "--yes", env=env).returncode == 2


def test_cancel(env: dict[str, str], owner: psycopg.Connection) -> None:
    waiting, sent = insert(owner), insert(owner, status="sent")

    assert fleet("messages", "cancel", str(sent), "--yes", env=env).returncode == 4
    assert fleet("messages", "cancel", str(waiting), "--yes", env=env).returncode == 0
    assert (status_of(owner, waiting), status_of(owner, sent)) == ("cancelled", "sent")


def test_cancel_a_scope(env: dict[str, str], owner: psycopg.Connection) -> None:
    campaign = uuid4()
    ids = [insert(owner, campaign_id=campaign) for _ in range(3)]
    command = ("messages", "cancel", "--campaign", str(campaign))
    nothing = {"cancelled": 0, "with_vendor": 0, "unknown": 0}

    assert fleet(*command, env=env).returncode == 2  # nobody can be asked
    dry = fleet(*command, "--dry-run", env=env)
    assert json.loads(dry.stdout) == {"scope": f"campaign:{campaign}", "matched": 3, **nothing, "dry_run": True}
    ended = fleet(*command, "--yes", "--reason", "wrong text", env=env)
    assert (ended.returncode, json.loads(ended.stdout)["cancelled"]) == (0, 3)
    assert {status_of(owner, id_) for id_ in ids} == {"cancelled"}
    assert fleet(*command, "--yes", env=env).returncode == 4
    assert owner.execute(
        "SELECT count(*) FROM fleet.audit_log WHERE detail ->> 'reason' = 'wrong text'"
    ).fetchone() == (2,)


def test_status(env: dict[str, str], owner: psycopg.Connection) -> None:
    insert(owner)
    seen = json.loads(fleet("status", env=env).stdout)
    assert seen["channels"]["email"]["due"] == 1
    assert seen["holds"] == []
    assert seen["breakers"] == []
    assert json.loads(fleet("status", env={**env, "REDIS_URL": "redis://127.0.0.1:9/0"}).stdout)["breakers"] is None


def test_db(env: dict[str, str], owner: psycopg.Connection, empty_database: str) -> None:
    assert fleet("db", "verify", env=env).returncode == 0
    assert fleet("db", "status", env=env).returncode == 0
    fresh = {**env, "DATABASE_URL": empty_database}
    assert fleet("db", "status", env=fresh).returncode == 3
    assert fleet("db", "plan", env=fresh).returncode == 0
    migrated = fleet("db", "migrate", env=fresh)
    assert migrated.returncode == 0, migrated.stderr
    assert fleet("db", "migrate", env=fresh).stderr.strip() == "up to date"
    assert fleet("db", "verify", env=fresh).stderr.strip() == "all is well"
    owner.execute("ALTER TABLE channel_outbox DISABLE TRIGGER fleet_guard")
    ended = fleet("db", "verify", env=env)
    assert (ended.returncode, "fleet_guard" in ended.stdout) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["messages", "get", "5"], 2, "not a valid UUID"),
        (["messages", "list", "--since", "yesterday"], 2, "write 2h, 30m, 7d"),
        (["messages", "list", "--status", "sentt"], 2, "sentt"),
        (["mesages"], 2, "messages"),
        (["db", "adopt", "--yes"], 4, "nothing is held"),
    ],
)
def test_bad_input_is_one_clear_sentence(env: dict[str, str], arguments: list[str], code: int, sentence: str) -> None:
    ended = fleet(*arguments, env=env)
    assert (ended.returncode, sentence in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_does_not_answer(env: dict[str, str]) -> None:
    ended = fleet_itself("status", env={**env, "DATABASE_URL": "postgresql://nobody:hidden@127.0.0.1:9/x"})
    assert ended.returncode == 1
    assert "DATABASE_URL" in ended.stderr
    assert "hidden" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_fits_a_screen(env: dict[str, str]) -> None:
    ended: subprocess.CompletedProcess[str] = fleet_itself("--help", env=env)
    assert len(ended.stdout.splitlines()) <= 24
