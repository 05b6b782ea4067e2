"""Twilio takes messages and drops every answer: its callbacks alone tell what became of them."""

import pytest

from benchmarks.load import insert
from benchmarks.running import until
from tests.acceptance.conftest import Scene, at_work, reachable

MESSAGES = 50


@pytest.fixture
def reached(scene: Scene) -> Scene:
    """The scene with a web process that the vendor reaches; look-ups come too late to help."""
    reachable(scene, FLEET_RECONCILE_GRACE_SECONDS="3600", FLEET_RECONCILE_HORIZON_SECONDS="36000")
    return scene


def test_every_answer_is_lost_and_every_message_arrives_once(reached: Scene) -> None:
    scene = reached
    scene.call_back(doubled=0.3, delay_seconds=0.2)
    scene.fault(vendor="twilio", kind="accept_then_drop", count=MESSAGES)
    at_work(scene, "sms", "events")

    insert(scene.owner, "sms", MESSAGES, "lost answers ")
    until(lambda: scene.all_are("delivered"), patience_seconds=120)

    assert scene.statuses() == {"delivered": MESSAGES}
    twilio = scene.stats()["twilio"]
    assert (twilio["accepted"], twilio["duplicates"]) == (MESSAGES, 0)
    assert twilio["faults"] == {"accept_then_drop": MESSAGES}
    proven = "SELECT outcome, resolution, resolved_by, count(*) FROM fleet.attempts GROUP BY 1, 2, 3"
    assert scene.owner.execute(proven).fetchall() == [("unknown", "accepted", "event", MESSAGES)]
    ids = {row[0] for row in scene.owner.execute("SELECT provider_message_id FROM channel_outbox").fetchall()}
    assert ids == {one["id"] for one in scene.accepted()}
    assert scene.owner.execute("SELECT count(*) FROM fleet.audit_log WHERE action = 'duplicate'").fetchone() == (0,)
