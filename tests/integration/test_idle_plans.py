"""Statistics that were taken while nothing was due or queued mislead no statement: each still reads what it takes.

That is how every burst begins. A planner that believes that a status leads to one row would read all rows of it.
"""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from outbox.queries import load, uuids
from tests.integration.test_index_plans import PAGES_PER_ROW, nodes

SENT, BURST, BUNDLE = 50_000, 10_000, 100
TOKEN = uuid4()
_ROWS = """
    INSERT INTO channel_outbox (workspace_id, channel, recipient_email, payload, status, idempotency_key)
    SELECT md5((i %% 10)::text)::uuid, 'email', 'person@mail.dev', '{}', %(status)s, %(status)s || i
    FROM generate_series(1, %(count)s) AS i
"""

_QUEUED = """
    UPDATE channel_outbox SET status = 'queued', lease_token = %s, lease_expires_at = now() + interval '1 hour'
    WHERE status = 'scheduled'
"""


@pytest.fixture(scope="module")
def burst(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE channel_outbox SET (autovacuum_enabled = off)")
        owner.execute(_ROWS, {"status": "sent", "count": SENT})
        owner.execute("VACUUM ANALYZE channel_outbox")
        owner.execute(_ROWS, {"status": "scheduled", "count": BURST})
        owner.execute("SET ROLE fleet")
        yield owner


def plan_of(connection: psycopg.Connection, statement: bytes, **parameters: object) -> Any:
    found = connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, parameters).fetchone()
    assert found
    return found[0][0]["Plan"]


def pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_a_claim_reads_what_it_takes(burst: psycopg.Connection) -> None:
    claim = {"channel": "email", "provider": "resend", "limit": 200, "token": TOKEN, "lease_seconds": 60}
    with burst.transaction(force_rollback=True):
        plan = plan_of(burst, load("claims")["claim"], **claim, late_after_seconds=3600)

    assert plan["Actual Rows"] == 200
    assert "Sort" not in {node["Node Type"] for node in nodes(plan)}, "the index has the order"
    assert pages(plan) <= 200 + PAGES_PER_ROW * 200


@pytest.mark.parametrize("name", ["read", "start_lock", "reject", "defer"])
def test_what_a_worker_asks_of_a_bundle_reads_the_bundle(burst: psycopg.Connection, name: str) -> None:
    """All of the burst is queued; the bundle is a hundredth of it."""
    with burst.transaction(force_rollback=True):
        burst.execute("SET LOCAL ROLE NONE")
        burst.execute("ANALYZE channel_outbox")
        burst.execute("SET LOCAL ROLE fleet")
        burst.execute(_QUEUED, (TOKEN,))
        rows = burst.execute(
            "SELECT id, xmin::text AS seen FROM channel_outbox WHERE status = 'queued' LIMIT %s", (BUNDLE,)
        ).fetchall()
        named = [{"id": str(id_), "seen": seen, "address": "a", "account": "f"} for id_, seen in rows]
        plan = plan_of(burst, load("starts")[name], **_parameters(rows, named))

    assert plan["Actual Rows"] == BUNDLE
    read = [
        node
        for node in nodes(plan)
        if node.get("Relation Name") == "channel_outbox" and "Scan" in str(node["Node Type"])
    ]
    assert read
    assert all(_rows(node) <= BUNDLE for node in read), "its index leads to the bundle alone"


def _rows(node: dict[str, Any]) -> float:
    return float(node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0))


def _parameters(rows: list[Any], named: list[dict[str, str]]) -> dict[str, object]:
    account = {"account_tenant_id": str(uuid4()), "delay_seconds": 1, "error_code": "c", "error_message": "m"}
    return {
        "ids": uuids(id_ for id_, _ in rows),
        "rows": json.dumps([one | account for one in named]),
        "token": TOKEN,
        "provider": "resend",
        "address": "email",
        "payload_bytes": 1_048_576,
        "alone": ["batch_refused"],
    }
