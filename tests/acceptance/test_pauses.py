"""Pausing under load, with real processes and the command: what leaves afterwards, by the vendor's own clock."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from benchmarks.load import insert
from benchmarks.running import until
from tests.acceptance.conftest import FULL, Scene, at_work, environment, fleet_here
from tests.acceptance.test_up import fleet
from tests.factories import insert as insert_one

MESSAGES = 100_000 if FULL else 4_000
WITHIN_SECONDS = 2.0
PATIENCE_SECONDS = 900.0


def told(scene: Scene, *arguments: str) -> Any:
    """Run a command that must succeed; return its JSON."""
    ended = fleet_here(*arguments, env=scene.fleet.environment)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def stopped_within(scene: Scene, *command: str) -> float:
    """Run a command that stops everything under load; return how long after it the vendor accepted the last message.

    By the vendor's clock, which is this machine's. Nothing is under way any more when this returns.
    """
    told(scene, *command)
    returned = time.monotonic()
    until(lambda: scene.all_are("sent", "scheduled"))
    return float(max(one["at_monotonic_seconds"] for one in scene.accepted())) - returned


def test_a_paused_campaign_stops_and_goes_on_and_is_cancelled(scene: Scene) -> None:
    campaign = uuid4()
    scene.fleet.environment["FLEET_LEASE_SECONDS"] = "20"  # a slow machine must not make answers late
    scene.fault(vendor="twilio", kind="slow", count=2 * MESSAGES, seconds=0.5)
    insert(scene.owner, "sms", MESSAGES, "a")
    scene.owner.execute("UPDATE channel_outbox SET campaign_id = %s", (campaign,))
    at_work(scene, "sms")
    scope = ("--campaign", str(campaign))
    until(lambda: scene.statuses().get("sent", 0) > 100, patience_seconds=PATIENCE_SECONDS)

    seconds = stopped_within(scene, "pause", *scope, "--why", "wrong text")

    before = scene.statuses()
    print(f"{MESSAGES} messages: the last was accepted {seconds:.2f} s after the command returned; {before}")
    assert seconds < WITHIN_SECONDS
    assert before["scheduled"] > 0, "there must have been something to stop"
    (held,) = told(scene, "status")["holds"]
    assert (held["scope"], held["reason"], held["until"]) == (f"campaign:{campaign}", "wrong text", None)

    assert told(scene, "resume", *scope)["ended"] == 1
    sent = scene.statuses()["sent"]
    until(lambda: scene.statuses().get("sent", 0) > sent + 200, patience_seconds=PATIENCE_SECONDS)
    ended = fleet_here("messages", "cancel", *scope, "--yes", env=scene.fleet.environment)
    counts = json.loads(ended.stdout)

    # It returned when nothing of the campaign was under way: nothing comes after.
    accepted, statuses = scene.stats()["twilio"]["accepted"], scene.statuses()
    print(f"{counts}; the vendor had accepted {accepted}")
    assert statuses == {"sent": accepted, "cancelled": MESSAGES - accepted}
    assert counts["unknown"] == 0
    assert ended.returncode == (5 if counts["with_vendor"] else 0)
    insert(scene.owner, "sms", 20, "b")
    until(lambda: scene.statuses().get("sent") == accepted + 20)
    assert scene.stats()["twilio"]["accepted"] == accepted + 20
    assert scene.stats()["twilio"]["duplicates"] == 0


def test_stop_all_stops_every_send_and_resuming_loses_none(scene: Scene) -> None:
    scene.fleet.environment["FLEET_LEASE_SECONDS"] = "20"
    scene.fault(vendor="twilio", kind="slow", count=MESSAGES, seconds=0.5)
    messages = MESSAGES // 2
    insert(scene.owner, "sms", messages, "a")
    insert(scene.owner, "email", messages, "b")
    at_work(scene, "sms", "email")
    until(lambda: scene.statuses().get("sent", 0) > 50, patience_seconds=PATIENCE_SECONDS)

    seconds = stopped_within(scene, "stop", "--all", "--why", "something is wrong", "--yes")

    print(f"{2 * messages} messages: the last was accepted {seconds:.2f} s after the command returned")
    assert seconds < WITHIN_SECONDS
    assert scene.statuses()["scheduled"] > 0, "there must have been something to stop"
    assert told(scene, "resume", "--all")["ended"] == 1
    until(lambda: scene.all_are("sent"), patience_seconds=PATIENCE_SECONDS)
    totals = scene.stats()["totals"]
    assert (totals["accepted"], totals["duplicates"]) == (2 * messages, 0)


def test_a_worker_is_sent_home_and_a_channel_is_drained(scene: Scene) -> None:
    at_work(scene, "sms")
    scene.fault(vendor="twilio", kind="slow", count=10_000, seconds=0.3)
    insert(scene.owner, "sms", 600, "a")
    until(lambda: scene.statuses().get("sent", 0) > 20)

    drained = told(scene, "drain", "--channel", "sms", "--why", "a look at the vendor")
    assert drained["scope"] == "channel:sms"
    until(lambda: set(scene.statuses()) <= {"sent", "scheduled"})
    assert scene.stats()["twilio"]["accepted"] == scene.statuses()["sent"]
    told(scene, "resume", "--channel", "sms")

    (worker,) = told(scene, "workers", "list", "--json")["workers"]
    assert fleet_here("workers", "drain", worker["id"], env=scene.fleet.environment).returncode == 0
    assert scene.fleet.processes["worker"].wait(60) == 0
    assert fleet_here("workers", "list", env=scene.fleet.environment).returncode == 4
    assert scene.statuses().get("sending", 0) == 0
    scene.fleet.start("another", "workers", "sms")
    until(lambda: scene.all_are("sent"))
    assert scene.stats()["twilio"]["accepted"] == 600


@pytest.fixture
def env(tmp_path: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return environment(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["pause", "--why", "x"], 2, "say what: --all, or --channel"),
        (["pause", "--all", "--channel", "sms", "--why", "x"], 2, "say what"),
        (["pause", "--channel", "sms", "--provider", "twilio", "--why", "x"], 2, "do not go together"),
        (["pause", "--channel", "sms"], 2, "Missing option '--why'"),
        (["pause", "--channel", "pigeon", "--why", "x"], 2, "pigeon"),
        (["pause", "--channel", "sms", "--why", "x", "--until", "2001-01-01"], 2, "has passed"),
        (["pause", "--all", "--why", "x"], 2, "Add --yes"),
        (["stop", "--why", "x"], 2, "say --all"),
        (["resume", "--channel", "sms"], 4, "no pause of channel:sms stands"),
        (["campaigns", "release", str(uuid4())], 4, "no hold of campaign:"),
        (["workers", "drain", str(uuid4())], 4, "no worker"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    env: dict[str, str], arguments: list[str], code: int, sentence: str, owner: psycopg.Connection
) -> None:
    ended = fleet_here(*arguments, env=env)
    assert (ended.returncode, sentence in ended.stderr) == (code, True), ended.stderr
    assert owner.execute("SELECT count(*) FROM fleet.pauses").fetchone() == (0,)


def test_hold_ask_why_and_release_a_campaign(env: dict[str, str], owner: psycopg.Connection) -> None:
    campaign = str(uuid4())
    waiting = insert_one(owner, "sms", campaign_id=campaign)
    why = ("--why", "the client looks at it")
    assert fleet("campaigns", "hold", campaign, *why, "--until", "2h", env=env).returncode == 0
    (held,) = json.loads(fleet_here("status", env=env).stdout)["holds"]
    assert (held["kind"], held["until"] is not None, held["created_by"][:4]) == ("hold", True, "cli:")
    answer = json.loads(fleet_here("messages", "why", str(waiting), env=env).stdout)
    assert [one["code"] for one in answer["waits"]] == ["no_worker", "held", "its_turn"]
    assert answer["waits"][1]["says"].startswith(f"campaign:{campaign} is held back for a release by cli:")
    assert fleet_here("messages", "why", str(uuid4()), env=env).returncode == 4
    assert fleet_here("resume", "--campaign", campaign, env=env).returncode == 4
    released = {"scope": f"campaign:{campaign}", "ended": 1, "pauses": []}
    assert json.loads(fleet_here("campaigns", "release", campaign, env=env).stdout) == released
