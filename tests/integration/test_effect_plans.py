"""What events mean for calls, replies and sequences is found by indexes, however much is kept."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from outbox.calls import ENDS
from outbox.queries import load

from .test_event_plans import BUNDLE, PAGES_PER_EVENT, scanned
from .test_index_plans import nodes

ROWS = 40_000
WORKSPACES = 40
NIL = UUID(int=0)
LARGE = {"events", "attempts", "channel_outbox", "leads", "voice_call_records", "replies"}

_CALLS, _REPLIES, _SEARCH = load("calls"), load("replies"), load("search")
_OF_EACH = """
    FROM generate_series(1, %(rows)s) AS i
    CROSS JOIN LATERAL (
        SELECT md5(i::text)::uuid AS id, md5((i %% %(workspaces)s)::text)::uuid AS workspace,
            md5('c' || i %% %(workspaces)s)::uuid AS campaign, '+1415' || lpad(i::text, 7, '0') AS phone
    ) AS one
"""
_FILLED = (
    """
    INSERT INTO channel_outbox (id, workspace_id, campaign_id, channel, recipient_phone, payload, status, scheduled_at)
    SELECT id, workspace, campaign, 'sms', phone, '{"body": "x", "stop_on_reply": true}', 'scheduled', 'infinity'
    """,
    """
    INSERT INTO leads (workspace_id, email, phone) SELECT workspace, 'Person' || i || '@example.com', phone
    """,
    """
    INSERT INTO fleet.events (
        provider, tenant_id, event_id, kind, message_id, workspace_id, campaign_id, channel, address, details, body,
        applied_at
    )
    SELECT 'twilio', %(nil)s, 'r' || i, 'replied', id, workspace, campaign, 'sms', phone, '{"text": "Yes"}', '{}', now()
    """,
    """
    INSERT INTO fleet.events (
        provider, tenant_id, event_id, kind, message_id, workspace_id, channel, address, details, body, applied_at
    )
    SELECT 'vapi', %(nil)s, 'c' || i, 'call_ended', id, workspace, 'voice', CASE WHEN i %% 2 = 0 THEN phone ELSE
        'person' || i || '@example.com' END, jsonb_build_object('call', jsonb_build_object('call_id', 'call-' || i)),
        '{}', now()
    """,
    """
    INSERT INTO voice_call_records (tenant_id, vapi_call_id)
    SELECT workspace, 'call-' || CASE WHEN i %% 2 = 0 THEN i END
    """,
    """
    INSERT INTO fleet.replies (event_id, workspace_id, message_id, received_at) SELECT i, workspace, id, now()
    """,
)


@pytest.fixture(scope="module")
def full(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        for filled in _FILLED:
            owner.execute((filled + _OF_EACH).encode(), {"rows": ROWS, "workspaces": WORKSPACES, "nil": NIL})
        owner.execute("SET session_replication_role = origin")
        owner.execute("DELETE FROM fleet.replies WHERE event_id <= %s", (ROWS // 2,))
        owner.execute("VACUUM ANALYZE")
        owner.execute("SET ROLE fleet")
        yield owner


def some(owner: psycopg.Connection, kind: str) -> list[int]:
    query = "SELECT id FROM fleet.events WHERE kind = %s ORDER BY id LIMIT %s"
    return [row[0] for row in owner.execute(query, (kind, BUNDLE)).fetchall()]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (_CALLS["lock"], "call_ended"),
        (_CALLS["record"], "call_ended"),
        (_REPLIES["keep"], "replied"),
    ],
    ids=["lock", "record", "keep"],
)
def test_an_effect_reads_what_its_events_are_about(full: psycopg.Connection, statement: bytes, kind: str) -> None:
    ids: dict[str, object] = {"ids": some(full, kind), "ends": list(ENDS)}
    tables, pages = scanned(full, statement, ids)
    assert not tables & LARGE
    assert pages <= 200 + PAGES_PER_EVENT * BUNDLE


@pytest.mark.parametrize("campaigns", [1, 5])
def test_replies_read_their_campaigns_once(full: psycopg.Connection, campaigns: int) -> None:
    """A page or so for each message of the campaigns, however many of their recipients reply at a time."""
    query = """
        SELECT id FROM fleet.events WHERE kind = 'replied' AND campaign_id IN (
            SELECT md5('c' || i)::uuid FROM generate_series(1, %s) AS i)
        LIMIT %s
    """
    ids = [row[0] for row in full.execute(query, (campaigns, BUNDLE)).fetchall()]
    tables, pages = scanned(full, _REPLIES["stop"], {"ids": ids})
    assert not tables & LARGE
    assert pages <= 200 + PAGES_PER_EVENT * len(ids) + 2 * campaigns * ROWS // WORKSPACES


@pytest.mark.parametrize("status", ["sent", "scheduled"])
def test_replies_to_a_campaign_without_sequences_read_none_of_its_messages(
    full: psycopg.Connection, status: str
) -> None:
    ids = some(full, "replied")[:1]
    with full.transaction(force_rollback=True):
        full.execute("RESET ROLE")
        full.execute("SET LOCAL session_replication_role = replica")
        full.execute(
            """
            INSERT INTO channel_outbox (workspace_id, campaign_id, channel, recipient_phone, payload, status)
            SELECT e.workspace_id, e.campaign_id, 'sms', '+1415' || i, '{"body": "x"}', %s
            FROM fleet.events e CROSS JOIN generate_series(1, 60000) AS i WHERE e.id = ANY (%s)
            """,
            (status, ids),
        )
        full.execute("ANALYZE channel_outbox")
        full.execute("SET LOCAL ROLE fleet")
        query = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + _REPLIES["stop"]
        row = full.execute(query, {"ids": ids}).fetchone()
    assert row
    plan = row[0][0]["Plan"]
    assert "fleet_outbox_sequence" in {node.get("Index Name") for node in nodes(plan)}
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 200 + 2 * ROWS // WORKSPACES


@pytest.mark.parametrize("by", ["workspace_id", "message_id", None])
def test_support_reads_a_page(full: psycopg.Connection, by: str | None) -> None:
    row = full.execute("SELECT workspace_id, message_id FROM fleet.replies LIMIT 1").fetchone()
    assert row
    found = dict(zip(("workspace_id", "message_id"), row, strict=True))
    wanted = {name: value if name == by else None for name, value in found.items()}
    page: dict[str, object] = {**wanted, "limit": 20, "after_id": None, "after_at": None}
    for statement, parameters in ((_REPLIES["find"], page), (_SEARCH["events"], {"id": found["message_id"]})):
        tables, pages = scanned(full, statement, parameters)
        assert not tables & LARGE
        assert pages <= 200
