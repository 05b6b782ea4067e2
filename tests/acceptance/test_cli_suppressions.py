"""`fleet suppressions` as support uses it: who, why, and the exit codes that a script reads."""

import json
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.acceptance.conftest import environment
from tests.acceptance.conftest import fleet_here as fleet


@pytest.fixture
def env(tmp_path: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return environment(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url)


def test_add_list_release(env: dict[str, str], owner: psycopg.Connection) -> None:
    place = ["--workspace", str(uuid4()), "--channel", "email"]
    why = ["--why", "asked on the phone"]

    assert fleet("suppressions", "add", "Ada@Mail.io", *place, *why, env=env).returncode == 2, "nobody can be asked"
    assert fleet("suppressions", "add", "nobody", *place, *why, "--yes", env=env).returncode == 2
    dry = json.loads(fleet("suppressions", "add", "Ada@Mail.io", *place, *why, "--dry-run", env=env).stdout)
    assert dry == {"asked": 1, "added": 0, "dry_run": True}
    added = fleet("suppressions", "add", "Ada@Mail.io", "ada@mail.io", *place, *why, "--yes", env=env)
    assert (added.returncode, json.loads(added.stdout)) == (0, {"asked": 1, "added": 1, "dry_run": False})

    listed = json.loads(fleet("suppressions", "list", *place, "--json", env=env).stdout)
    (one,) = listed["suppressions"]
    assert (one["address"], one["reason"], one["holds"]) == ("a…@mail.io", "manual", True)
    assert not listed["has_more"]
    whole = json.loads(fleet("suppressions", "list", "--to", "ADA@mail.io", "--reveal", env=env).stdout)
    assert whole["suppressions"][0]["address"] == "ada@mail.io"
    revealed = (
        "SELECT actor LIKE 'cli:%', subject, detail->>'suppressions' FROM fleet.audit_log WHERE action LIKE 'reveal%'"
    )
    assert owner.execute(revealed).fetchall() == [(True, "A…@mail.io", "1")]
    assert fleet("suppressions", "list", "--reason", "bounced", env=env).returncode == 4

    dry = json.loads(fleet("suppressions", "release", "ada@mail.io", *place, *why, "--dry-run", env=env).stdout)
    assert dry == {"asked": 1, "matched": 1, "released": 0, "dry_run": True}
    one_reason = ["--reason", "bounced", "--yes"]
    assert fleet("suppressions", "release", "ada@mail.io", *place, *why, *one_reason, env=env).returncode == 4
    partly = fleet("suppressions", "release", "ada@mail.io", "bob@mail.io", *place, *why, "--yes", env=env)
    assert (partly.returncode, json.loads(partly.stdout)["released"]) == (5, 1)
    assert fleet("suppressions", "list", env=env).returncode == 4
    ended = json.loads(fleet("suppressions", "list", "--ended", env=env).stdout)
    assert [one["holds"] for one in ended["suppressions"]] == [False]
