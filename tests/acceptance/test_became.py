"""What became of messages: callbacks doubled, shuffled, failing and lost, and the ledger ends with what is true.

The simulator knows how each send really ends and which callbacks were taken. Resend comes again until it is heard; of
Twilio's and Vapi's callbacks some are never made, and the poller finds what they would have said.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from benchmarks.running import until
from campaigns import metrics
from config.database import Pool, pool
from config.settings import load
from outbox import events
from tests.acceptance.conftest import FULL, Scene, at_work, reachable

MESSAGES = 20_000 if FULL else 600
SPREAD_SECONDS = 30.0 if FULL else 3.0
POLL_AFTER_SECONDS = 45.0 if FULL else 5.0
PATIENCE_SECONDS = 3600.0 if FULL else 180.0
CAMPAIGNS = 6
WORKSPACES = 3
SECRET = "whsec_c2VjcmV0IG9mIHRoZSBhY2NlcHRhbmNlIHRlc3Q="
NOBODY = UUID(int=0)

ENDS = {
    "opened": 0.2,
    "clicked": 0.1,
    "unsubscribed": 0.05,
    "complained": 0.05,
    "bounced": 0.08,
    "soft_bounced": 0.05,
    "suppressed": 0.03,
    "undelivered": 0.08,
    "no_answer": 0.15,
}
ARRIVED = frozenset({"delivered", "opened", "clicked", "unsubscribed", "complained"})
POLLED = frozenset({"twilio", "vapi"})
"""Vendors that are asked what no callback told; an open or a click nobody can be asked about."""
RECORDED = {"delivered": "completed", "no_answer": "no_answer", "undelivered": "failed"}
"""What `voice_call_records` says of a call, by its end."""
UNSUBSCRIBED = frozenset({"one-click", "inbound"})

FIGURES = ("sent_count", "delivered_count", "open_count", "clicks", "bounce_count", "unsubscribe_count")
DUMPED = {
    "public.channel_outbox": ("updated_at",),
    "fleet.suppressions": (),
    "fleet.attempts": (),
    "public.voice_call_records": (),
    "fleet.replies": (),
    "public.campaign_metrics": ("updated_at", "last_synced_at"),
}
"""What must not change, and of it the columns that say when somebody looked."""

_INSERT = """
    INSERT INTO channel_outbox (workspace_id, campaign_id, channel, provider, recipient_email, recipient_phone, payload,
        status, idempotency_key)
    SELECT md5('workspace ' || i %% %(campaigns)s %% %(workspaces)s)::uuid,
        md5('campaign ' || i %% %(campaigns)s)::uuid, kind.channel, kind.provider,
        CASE WHEN kind.channel = 'email' THEN 'person' || i || '@mail.dev' END,
        CASE WHEN kind.channel <> 'email' THEN '+1415' || (2000000 + i) END,
        kind.payload, 'scheduled', 'became ' || i
    FROM generate_series(1, %(messages)s) AS i
    JOIN (VALUES
        (0, 'email', 'resend', '{"subject": "Hello", "html": "<p>Hello</p>"}'::jsonb),
        (1, 'sms', 'twilio', '{"body": "Hello"}'),
        (2, 'voice', 'vapi', '{"assistant_id": "assistant", "first_message": "Hello"}'),
        (3, 'voice', 'twilio', '{"say": "Hello"}')
    ) AS kind (number, channel, provider, payload)
        ON kind.number = CASE WHEN i %% 10 < 4 THEN 0 WHEN i %% 10 < 8 THEN 1 WHEN i %% 10 = 8 THEN 2 ELSE 3 END
"""


def test_the_ledger_ends_with_what_is_true(scene: Scene, database_url: str) -> None:
    _called_back(scene)
    at_work(scene, "email", "sms", "voice", "events")
    _insert(scene.owner)
    until(lambda: _is_quiet(scene), PATIENCE_SECONDS)

    lines = {line["message_id"]: line for line in scene.truth()}
    assert scene.stats()["totals"]["accepted"] == len(lines) == MESSAGES
    wrong = [
        (line, status)
        for id_, status in scene.owner.execute("SELECT id::text, status FROM channel_outbox").fetchall()
        if status != ("delivered" if (line := lines[id_])["end"] in ARRIVED else "failed")
    ]
    assert wrong == []
    _was_as_ordered(scene, list(lines.values()))

    calls = Counter(RECORDED[line["end"]] for line in lines.values() if line["kind"] == "call")
    recorded = scene.owner.execute("SELECT status, count(*) FROM voice_call_records GROUP BY 1").fetchall()
    assert dict(recorded) == calls

    told = _expected(scene.owner, lines)
    until(lambda: _figures(scene.owner) == told, 60)
    scene.fleet.stop()
    asyncio.run(_nothing_changes(scene.owner, database_url))


def _called_back(scene: Scene) -> None:
    """Let every vendor call back: doubled, shuffled, a part failing at first, and of two vendors a part never."""
    url = reachable(
        scene,
        RESEND_WEBHOOK_SECRET=SECRET,
        VAPI_WEBHOOK_SECRET="the-secret-of-the-acceptance-test",
        FLEET_SECRET_KEY="the-key-of-the-acceptance-test-long-enough",
        FLEET_POLL_AFTER_SECONDS=str(POLL_AFTER_SECONDS),
    )
    order = {"doubled": 1, "spread_seconds": SPREAD_SECONDS, "failing_first": 0.05, "retry_factor": 0.1, **ENDS}
    scene.call_back(**order)
    for vendor in POLLED:
        scene.call_back(vendor=vendor, **order, lost=0.05)
    for vendor in ("resend", "twilio"):
        scene.hook(vendor=vendor, url=f"{url}/webhooks/{vendor}/{NOBODY}", secret=SECRET if vendor == "resend" else "")


def _insert(owner: psycopg.Connection) -> None:
    owner.execute(
        """
        WITH person AS (INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'owner@mail.dev') RETURNING id)
        INSERT INTO workspaces (id, name, slug, owner_id)
        SELECT md5('workspace ' || n)::uuid, 'w', 'became-' || n, id FROM person, generate_series(0, %s - 1) AS n
        """,
        (WORKSPACES,),
    )
    owner.execute(
        """
        INSERT INTO campaigns (id, name, workspace_id)
        SELECT md5('campaign ' || n)::uuid, 'c', md5('workspace ' || n %% %s)::uuid FROM generate_series(0, %s - 1) AS n
        """,
        (WORKSPACES, CAMPAIGNS),
    )
    owner.execute(_INSERT, {"messages": MESSAGES, "campaigns": CAMPAIGNS, "workspaces": WORKSPACES})


def _is_quiet(scene: Scene) -> bool:
    """Has every message an end, is every callback taken or given up, and every event applied?"""
    if not scene.all_are("delivered", "failed") or scene.callbacks()["waiting"]:
        return False
    waiting = "SELECT count(*) FROM fleet.events WHERE applied_at IS NULL"
    return scene.owner.execute(waiting).fetchone() == (0,)


def _was_as_ordered(scene: Scene, lines: Sequence[dict[str, Any]]) -> None:
    """Was the load one that proves something: were callbacks doubled, lost and made again, and every end met?"""
    counts = scene.callbacks()["counts"]
    assert all(counts[name] > 0 for name in ("sent", "doubled", "lost", "failed"))
    assert {line["end"] for line in lines} == {"delivered", *ENDS}
    assert any(not line["told"] or line["told"] in (["sent"], ["initiated"]) for line in lines)
    assert scene.owner.execute("SELECT count(*) FROM fleet.audit_log WHERE action = 'duplicate'").fetchone() == (0,)


def _expected(owner: psycopg.Connection, lines: dict[str, dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Count for each campaign what was answered 2xx, or can be asked of vendors that are polled."""
    figures: dict[str, Counter[str]] = {}
    for id_, campaign in owner.execute("SELECT id::text, campaign_id::text FROM channel_outbox").fetchall():
        counts, line = figures.setdefault(campaign, Counter()), lines[id_]
        end, told = line["end"], set(line["told"])
        is_known = line["vendor"] in POLLED or not told.isdisjoint({"delivered", "bounced", "suppressed", "failed"})
        counts["sent_count"] += 1
        counts["delivered_count"] += is_known and end in ARRIVED
        counts["bounce_count"] += is_known and end in ("bounced", "soft_bounced")
        counts["open_count"] += "opened" in told
        counts["clicks"] += "clicked" in told
        counts["unsubscribe_count"] += not told.isdisjoint(UNSUBSCRIBED)
    return {campaign: {name: counts[name] for name in FIGURES} for campaign, counts in figures.items()}


def _figures(owner: psycopg.Connection) -> dict[str, dict[str, int]]:
    query = f"SELECT campaign_id::text, {', '.join(FIGURES)} FROM campaign_metrics WHERE data_mode = 'real'"
    return {row[0]: dict(zip(FIGURES, row[1:], strict=True)) for row in owner.execute(query.encode()).fetchall()}


async def _nothing_changes(owner: psycopg.Connection, database_url: str) -> None:
    """Apply all events once more in another order, and count all campaigns from scratch: both come to the same."""
    before = _dump(owner)
    ledger = pool(load({}), database_url, size=2, process="test")
    await ledger.open()
    try:
        await _apply_again(owner, ledger)
        assert _dump(owner) == before
        owner.execute("DELETE FROM campaign_metrics")
        await metrics.recompute(ledger, await metrics.named(ledger, limit=CAMPAIGNS))
        assert _dump(owner)["public.campaign_metrics"] != []
        counted = _figures(owner)
        assert counted == {row["campaign_id"]: {name: row[name] for name in FIGURES} for row in _real(before)}
    finally:
        await ledger.close()


async def _apply_again(owner: psycopg.Connection, ledger: Pool) -> None:
    ids = [row[0] for row in owner.execute("SELECT id FROM fleet.events").fetchall()]
    random.Random(7).shuffle(ids)
    owner.execute("UPDATE fleet.events SET applied_at = NULL, next_try_at = fleet.now()")
    for start in range(0, len(ids), 100):
        done = await events.apply(ledger, ids[start : start + 100])
        assert (done.applied, done.waiting) == (len(ids[start : start + 100]), 0)


def _real(dump: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [row for row in dump["public.campaign_metrics"] if row["data_mode"] == "real"]


def _dump(owner: psycopg.Connection) -> dict[str, list[dict[str, Any]]]:
    """Return every row of the tables, without the columns that say when somebody looked."""
    return {
        table: [
            row[0]
            for row in owner.execute(
                f"SELECT to_jsonb(t) - %s::text[] FROM {table} AS t ORDER BY 1".encode(), (list(ignored),)
            ).fetchall()
        ]
        for table, ignored in DUMPED.items()
    }
