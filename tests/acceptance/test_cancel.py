"""Cancelling a campaign under way, by the command: what the vendor accepts afterwards, and a cancel that is killed."""

import json
import subprocess
import sys
from typing import Any
from uuid import UUID, uuid4

from benchmarks.load import insert
from benchmarks.running import ROOT, until
from tests.acceptance.conftest import Scene, at_work
from tests.acceptance.test_up import fleet
from tests.factories import insert as insert_one

MESSAGES = 6_000
"""More than one unit sends in the time that the command needs to start, at half a second a request."""


def cancel(scene: Scene, campaign: UUID, *more: str) -> tuple[int, Any]:
    """The command's exit code and what it printed."""
    ended = fleet("messages", "cancel", "--campaign", str(campaign), "--yes", *more, env=scene.fleet.environment)
    return ended.returncode, json.loads(ended.stdout)


def statuses(scene: Scene, campaign: UUID) -> dict[str, int]:
    return dict(
        scene.owner.execute(
            "SELECT status, count(*) FROM channel_outbox WHERE campaign_id = %s GROUP BY status", (campaign,)
        ).fetchall()
    )


def test_after_the_command_returned_the_vendor_accepts_nothing_more_of_the_campaign(scene: Scene) -> None:
    campaign = uuid4()
    scene.fault(vendor="twilio", kind="slow", count=2 * MESSAGES, seconds=0.5)
    insert(scene.owner, "sms", MESSAGES, "a")
    scene.owner.execute("UPDATE channel_outbox SET campaign_id = %s", (campaign,))
    scene.fleet.environment["FLEET_LEASE_SECONDS"] = "20"  # a slow machine must not make answers late
    at_work(scene, "sms")
    until(lambda: scene.statuses().get("sent", 0) > 100)

    code, counts = cancel(scene, campaign, "--reason", "wrong text")

    accepted = scene.stats()["twilio"]["accepted"]
    ended = statuses(scene, campaign)
    print(f"{counts}, the vendor had accepted {accepted}")
    assert ended == {"sent": accepted, "cancelled": MESSAGES - accepted}
    assert counts["cancelled"] == ended["cancelled"] > 0
    assert (counts["unknown"], code) == (0, 5 if counts["with_vendor"] else 0)
    # The fleet works on, and for others.
    insert(scene.owner, "sms", 50, "b")
    until(lambda: scene.statuses().get("sent") == accepted + 50)
    assert scene.stats()["twilio"]["accepted"] == accepted + 50
    assert statuses(scene, campaign) == ended


def test_a_cancel_that_is_killed_shows_and_is_finished_by_the_next(scene: Scene) -> None:
    campaign = uuid4()
    scene.fault(vendor="twilio", kind="accept_then_hang", count=1, seconds=120)
    scene.fleet.environment["FLEET_LEASE_SECONDS"] = "20"  # the cancel waits as long, and is killed before its end
    sending = insert_one(scene.owner, "sms", campaign_id=campaign)
    at_work(scene, "sms")
    until(lambda: scene.statuses() == {"sending": 1})
    waiting = insert_one(scene.owner, "sms", campaign_id=campaign, scheduled_at="tomorrow")
    command = [sys.executable, "-m", "console", "messages", "cancel", "--campaign", str(campaign), "--yes"]
    killed = subprocess.Popen(command, env=scene.fleet.environment, cwd=ROOT)
    until(lambda: statuses(scene, campaign).get("cancelled") == 1)
    killed.kill()
    killed.wait()

    held = json.loads(fleet("status", env=scene.fleet.environment).stdout)["holds"]
    assert [(hold["scope"], hold["kind"], hold["created_by"][:4]) for hold in held] == [
        (f"campaign:{campaign}", "cancel", "cli:")
    ]
    code, counts = cancel(scene, campaign)

    assert (code, counts["cancelled"], counts["unknown"]) == (5, 0, 1)
    assert json.loads(fleet("status", env=scene.fleet.environment).stdout)["holds"] == []
    until(lambda: statuses(scene, campaign) == {"unknown": 1, "cancelled": 1})
    ended = scene.owner.execute("SELECT id, status FROM channel_outbox").fetchall()
    assert dict(ended) == {sending: "unknown", waiting: "cancelled"}
