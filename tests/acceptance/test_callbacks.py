"""Twilio takes messages and drops every answer: its callbacks alone tell what became of them."""

import json
import socket
import urllib.request
from typing import Any

import pytest

from benchmarks.load import insert
from benchmarks.running import until
from tests.acceptance.conftest import Scene, at_work

MESSAGES = 50


@pytest.fixture
def reached(scene: Scene) -> Scene:
    """The scene with a web process that the vendor reaches; look-ups come too late to help."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scene.fleet.environment |= {
        "FLEET_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FLEET_RECONCILE_GRACE_SECONDS": "3600",
        "FLEET_RECONCILE_HORIZON_SECONDS": "36000",
    }
    scene.fleet.start("web", "uvicorn", "console.web:app", "--port", str(port), "--log-level", "error")
    until(lambda: _answers(f"http://127.0.0.1:{port}/livez"))
    return scene


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _order(scene: Scene, **order: Any) -> None:
    request = urllib.request.Request(f"{scene.vendor_url}/callbacks", data=json.dumps(order).encode())
    urllib.request.urlopen(request, timeout=10).close()


def test_every_answer_is_lost_and_every_message_arrives_once(reached: Scene) -> None:
    scene = reached
    _order(scene, doubled=0.3, delay_seconds=0.2)
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
