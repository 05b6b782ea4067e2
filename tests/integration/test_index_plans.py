"""The relay's and the rescuer's statements stay on their indexes, however many messages the table holds."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from uuid import uuid4

import psycopg
import pytest

from outbox.queries import load
from outbox.search import Filter

ROWS = 1_000_000 if os.environ.get("FULL") == "1" else 150_000
PAGES_PER_ROW = 30
"""What a claimed row may cost in pages read or changed: its index entries and its two versions, not its table."""

_CLAIMS = load("claims")
_CLAIM = {"provider": "resend", "limit": 500, "token": uuid4(), "lease_seconds": 60, "late_after_seconds": 3600}
_ROWS = """
    INSERT INTO channel_outbox (workspace_id, channel, recipient_email, payload, status, scheduled_at, priority)
    SELECT md5((i %% 1000)::text)::uuid, (ARRAY['email', 'sms', 'voice'])[1 + i %% 3], 'person@mail.dev', '{}',
        CASE WHEN i %% 5 = 0 THEN 'scheduled' ELSE 'sent' END,
        now() + make_interval(hours => i %% 8760), i %% 3 - 1
    FROM generate_series(1, %s) AS i
"""
_DUE = """
    INSERT INTO channel_outbox (workspace_id, channel, recipient_email, payload, status, priority)
    SELECT md5(i::text)::uuid, 'email', 'person@mail.dev', '{}', 'scheduled', i %% 3 - 1
    FROM generate_series(1, %s) AS i
"""


@pytest.fixture(scope="module")
def full(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as owner:
        owner.execute(_ROWS, (ROWS,))
        owner.execute(_DUE, (5_000,))
        owner.execute("VACUUM ANALYZE channel_outbox")
        owner.execute("SET ROLE fleet")
        yield owner


@pytest.mark.parametrize(
    ("name", "rows", "parameters"),
    [
        ("claim", 500, {"channel": "email", **_CLAIM}),
        ("claim", 0, {"channel": "linkedin", **_CLAIM}),
        ("claim", 0, {"channel": "voice", **_CLAIM}),
        ("rescue", 0, {"limit": 500, "crash_limit": 3, "crash_delay_seconds": 5, "beat_seconds": 10}),
        ("next_due", 1, {}),
        ("strangers", 0, {"known": ["email", "sms", "voice"]}),
        ("reject_unclaimable", 0, {"channels": ["fax"], "served": "email", "limit": 500}),
    ],
)
def test_it_reads_what_it_takes_and_not_the_table(
    full: psycopg.Connection, name: str, rows: int, parameters: dict[str, object]
) -> None:
    with full.transaction(force_rollback=True):
        query = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + _CLAIMS[name]
        found = full.execute(query, parameters).fetchone()
    assert found
    plan = found[0][0]["Plan"]

    assert "Seq Scan" not in {
        node["Node Type"] for node in nodes(plan) if node.get("Relation Name") == "channel_outbox"
    }
    assert plan["Actual Rows"] == rows
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 200 + PAGES_PER_ROW * rows


@pytest.mark.parametrize("after", [None, "the last of a page"])
def test_a_page_of_the_newest_reads_no_more_than_itself(full: psycopg.Connection, after: str | None) -> None:
    row = full.execute("SELECT id FROM channel_outbox LIMIT 1").fetchone()
    wanted = {**asdict(Filter()), "limit": 20, "after_id": row[0] if row and after else None, "after_at": None}
    found = full.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + load("search")["find"], wanted).fetchone()
    assert found
    plan = found[0][0]["Plan"]

    assert "fleet_outbox_created" in {node.get("Index Name") for node in nodes(plan)}
    assert plan["Actual Rows"] == 20
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 200


def nodes(plan: dict[str, object]) -> Iterator[dict[str, object]]:
    yield plan
    children = plan.get("Plans", [])
    assert isinstance(children, list)
    for child in children:
        yield from nodes(child)
