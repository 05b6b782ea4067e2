"""Vendors that ask for peace, do not work, or have revoked a key: what the whole fleet does meanwhile."""

import json
import time
import urllib.request
from collections import defaultdict
from uuid import uuid4

from benchmarks.load import insert
from benchmarks.running import until
from config.catalog import CATALOG
from tests.acceptance.conftest import FULL, Scene, at_work
from tests.acceptance.test_up import fleet
from tests.factories import insert as insert_one
from tests.recorded import Arrival, recorded_simulator

PEACE_SECONDS = 60 if FULL else 10
RETRY_AFTER_SECONDS = 3
EACH = 300
"""Messages of each channel."""


def clear_faults(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{url}/faults", method="DELETE"), timeout=10).close()


def test_nobody_is_asked_again_before_the_time_that_the_vendor_told(scene: Scene) -> None:
    with recorded_simulator() as (url, arrivals):
        scene.vendor_url = url
        scene.fleet.environment |= {facts.url_variable: url for facts in CATALOG.values()}
        for vendor in ("resend", "twilio"):
            scene.fault(vendor=vendor, kind="too_many", rate=1, seconds=RETRY_AFTER_SECONDS)
        at_work(scene, "email", "sms")
        insert(scene.owner, "email", EACH, "a")
        insert(scene.owner, "sms", EACH, "b")
        time.sleep(PEACE_SECONDS)  # so long the vendors refuse; that is what is tried
        assert set(scene.statuses()) <= {"scheduled", "queued", "sending"}
        refused = len(arrivals)
        clear_faults(url)
        until(lambda: scene.all_are("sent"), patience_seconds=120)

        early = too_early(arrivals)
        told = sum(len(one.recipients) for one in arrivals if one.status == 429)
        print(
            f"{refused} requests in {PEACE_SECONDS} s of 429 for {2 * EACH} messages, {told} messages refused, {early}"
        )
        assert told > 0
        assert early == []
        assert scene.stats()["totals"]["accepted"] == 2 * EACH
        assert scene.stats()["totals"]["duplicates"] == 0
    counted = scene.owner.execute("SELECT count(*) FROM fleet.attempts WHERE counted AND outcome <> 'accepted'")
    assert counted.fetchone() == (0,)


def too_early(arrivals: list[Arrival]) -> list[str]:
    """Whose request came before the time that an earlier refusal had told it."""
    may_come_at: dict[str, float] = defaultdict(float)
    early = []
    for one in sorted(arrivals, key=lambda arrival: arrival.came_at):
        early += [recipient for recipient in one.recipients if one.came_at < may_come_at[recipient]]
        if one.status == 429:
            for recipient in one.recipients:
                may_come_at[recipient] = max(may_come_at[recipient], one.answered_at + one.retry_after_seconds)
    return early


def test_a_vendor_that_does_not_work_is_left_alone_until_one_message_gets_through(scene: Scene) -> None:
    scene.fault(vendor="resend", kind="server_error", rate=1)
    at_work(scene, "email")
    insert(scene.owner, "email", 5_000, "a")

    def breakers() -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(fleet("status", env=scene.fleet.environment).stdout)["breakers"]
        return found

    until(lambda: bool(breakers()))
    (shown,) = breakers()
    assert (shown["provider"], shown["tenant_id"]) == ("resend", "00000000-0000-0000-0000-000000000000")
    assert shown["since"] < shown["until"]
    assert "internal" in shown["error"]
    until(lambda: not scene.statuses().keys() & {"queued", "sending"})
    waiting = scene.owner.execute(
        "SELECT count(*), sum(attempts), count(*) FILTER (WHERE error_code = 'breaker_open') "
        "FROM channel_outbox WHERE status = 'scheduled'"
    ).fetchone()
    assert waiting is not None
    print(f"waiting, attempts, put off: {waiting}; requests {scene.stats()['resend']['requests']}")
    assert waiting[0] > 0
    assert waiting[1:] == (0, waiting[0])

    clear_faults(scene.vendor_url)
    until(lambda: scene.all_are("sent"), patience_seconds=180)
    assert breakers() == []
    assert (scene.stats()["resend"]["accepted"], scene.stats()["resend"]["duplicates"]) == (5_000, 0)


def test_messages_of_a_revoked_key_wait_and_say_why(scene: Scene) -> None:
    tenant = uuid4()
    scene.owner.execute(
        "INSERT INTO ai_settings_resend (tenant_id, api_key_encrypted, from_email, is_connected) "
        "VALUES (%s, 'revoked_key', 'own@tenant.dev', true)",
        (tenant,),
    )
    theirs = [insert_one(scene.owner, workspace_id=tenant) for _ in range(200)]
    insert(scene.owner, "email", 500, "a")
    at_work(scene, "email")

    until(lambda: scene.statuses().get("sent", 0) == 500)
    reasons = "SELECT count(*) FROM channel_outbox WHERE id = ANY (%s) AND status = 'scheduled' AND error_message <> ''"
    until(lambda: scene.owner.execute(reasons, (theirs,)).fetchone() == (len(theirs),))

    codes = scene.owner.execute("SELECT DISTINCT error_code FROM channel_outbox WHERE status = 'scheduled'").fetchall()
    halted = json.loads(fleet("status", env=scene.fleet.environment).stdout)["halted"]
    assert codes == [("invalid_api_key",)]
    assert [(one["provider"], one["tenant_id"]) for one in halted] == [("resend", str(tenant))]
    assert scene.owner.execute(
        "SELECT count(*) FROM fleet.attempts WHERE outcome = 'halted' AND counted"
    ).fetchone() == (0,)
