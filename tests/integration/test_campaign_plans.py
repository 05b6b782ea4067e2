"""Counting a campaign reads that campaign, however much else the ledger holds."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from campaigns import metrics
from outbox.queries import load
from tests.integration.test_event_plans import scanned

ROWS = 60_000
CAMPAIGNS = 600
EACH = ROWS // CAMPAIGNS
NIL = UUID(int=0)
LARGE = {"channel_outbox", "attempts", "events"}

_SQL = load("metrics", package="campaigns")
_CAMPAIGNS = """
    INSERT INTO campaigns (id, workspace_id, name)
    SELECT md5('c' || i)::uuid, md5('w')::uuid, 'c' FROM generate_series(0, %s - 1) AS i
"""
_MESSAGES = """
    INSERT INTO channel_outbox (id, workspace_id, channel, recipient_phone, payload, status, attempts, campaign_id)
    SELECT md5(i::text)::uuid, md5('w')::uuid, 'sms', '+14155550100', '{}',
        (ARRAY['delivered', 'sent', 'failed', 'cancelled'])[1 + i / %s %% 4], 1, md5('c' || i %% %s)::uuid
    FROM generate_series(1, %s) AS i
"""
_ATTEMPTS = """
    INSERT INTO fleet.attempts (
        message_id, number, counted, id, send_key, provider, account, account_tenant_id, started_at, finished_at,
        outcome
    )
    SELECT md5(i::text)::uuid, 1, true, md5(i::text)::uuid, md5('b')::uuid, 'twilio', 'a', %s,
        now() - make_interval(mins => %s - i), now() - make_interval(mins => %s - i), 'accepted'
    FROM generate_series(1, %s) AS i
"""
_EVENTS = """
    INSERT INTO fleet.events (
        provider, tenant_id, event_id, kind, message_id, campaign_id, body, applied_at, received_at
    )
    SELECT 'twilio', %s, i || k.kind, k.kind, md5(i::text)::uuid, md5('c' || i %% %s)::uuid, '{}', now(),
        now() - make_interval(mins => %s - i)
    FROM generate_series(1, %s) AS i CROSS JOIN (VALUES ('delivered'), ('opened')) AS k (kind)
"""


@pytest.fixture(scope="module")
def full(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(_CAMPAIGNS, (CAMPAIGNS,))
        owner.execute(_MESSAGES, (CAMPAIGNS, CAMPAIGNS, ROWS))
        owner.execute(_ATTEMPTS, (NIL, ROWS, ROWS, ROWS))
        owner.execute(_EVENTS, (NIL, CAMPAIGNS, ROWS, ROWS))
        owner.execute("INSERT INTO fleet.campaign_rollups (campaign_id) SELECT id FROM campaigns")
        owner.execute("INSERT INTO fleet.campaign_hints SELECT id, now() FROM campaigns LIMIT 50")
        owner.execute("SET session_replication_role = origin")
        owner.execute("VACUUM ANALYZE channel_outbox, fleet.attempts, fleet.events, campaigns, campaign_metrics")
        owner.execute("SET ROLE fleet")
        yield owner


def some(owner: psycopg.Connection, limit: int) -> list[UUID]:
    return [row[0] for row in owner.execute("SELECT id FROM campaigns ORDER BY id LIMIT %s", (limit,))]


@pytest.mark.parametrize("campaigns", [1, 5])
def test_a_count_reads_its_campaigns(full: psycopg.Connection, campaigns: int) -> None:
    ids = some(full, campaigns)
    parameters = metrics.asked(ids)
    tables, pages = scanned(full, _SQL["write"], parameters)
    assert not tables & LARGE
    assert pages <= 300 + campaigns * EACH * 8
    with full.transaction(force_rollback=True):
        assert sorted(full.execute(_SQL["write"], parameters).fetchall()) == [(id_, 2 * EACH) for id_ in ids]
        first = full.execute(
            "SELECT sent_count, delivered_count, open_count FROM campaign_metrics WHERE campaign_id = %s", (ids[0],)
        ).fetchone()
    assert first == (EACH, EACH // 4, EACH)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sweep", {"since_seconds": 3600}),
        ("named", {"after": NIL, "limit": 100}),
        ("fold", {"limit": 1000}),
        ("due", {"limit": 100}),
    ],
)
def test_what_finds_campaigns_reads_no_table_from_end_to_end(
    full: psycopg.Connection, name: str, parameters: dict[str, object]
) -> None:
    tables, pages = scanned(full, _SQL[name], parameters)
    assert not tables & LARGE
    assert pages <= 3_000
