"""The poller's statements read what they take, however many messages were sent and however many wait."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from outbox import polls
from outbox.queries import load
from tests.integration.test_index_plans import PAGES_PER_ROW, nodes

ROWS = 150_000
BUNDLE = 100
_POLLS = load("polls")
# A third waits for a look, a fifth of the text messages of that is due, and no call.
_SENT = """
    INSERT INTO channel_outbox (id, workspace_id, channel, recipient_phone, payload, status, attempts, sent_at, poll_at)
    SELECT md5(i::text)::uuid, md5((i %% 1000)::text)::uuid, (ARRAY['sms', 'voice'])[1 + i %% 2], '+14155550100', '{}',
        (ARRAY['sent', 'delivered', 'sent'])[1 + i %% 3], 1, now() - make_interval(secs => 900 + i %% 1000),
        CASE WHEN i %% 30 = 0 THEN now() - make_interval(secs => i %% 9000)
             WHEN i %% 3 = 0 THEN now() + make_interval(secs => 3600 + i %% 9000) END
    FROM generate_series(1, %s) AS i
"""
_ATTEMPTS = """
    INSERT INTO fleet.attempts (
        message_id, number, counted, id, send_key, provider, account, account_tenant_id, started_at, finished_at,
        outcome, provider_message_id
    )
    SELECT m.id, 1, true, m.id, m.id, 'twilio', 'a', md5('')::uuid, now(), now(), 'accepted', 'SM' || i
    FROM generate_series(1, %s) AS i
    CROSS JOIN LATERAL (SELECT md5(i::text)::uuid AS id) AS m
"""


@pytest.fixture(scope="module")
def full(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(_SENT, (ROWS,))
        owner.execute(_ATTEMPTS, (ROWS,))
        owner.execute("SET session_replication_role = origin")
        owner.execute("VACUUM ANALYZE channel_outbox, fleet.attempts")
        owner.execute("SET ROLE fleet")
        yield owner


def explained(owner: psycopg.Connection, name: str, parameters: dict[str, object]) -> dict[str, object]:
    with owner.transaction(force_rollback=True):
        query = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + _POLLS[name]
        found = owner.execute(query, parameters).fetchone()
    assert found
    plan: dict[str, object] = found[0][0]["Plan"]
    return plan


def pages(plan: dict[str, object]) -> int:
    return int(str(plan["Shared Hit Blocks"])) + int(str(plan["Shared Read Blocks"]))


@pytest.mark.parametrize(("channel", "rows"), [("sms", BUNDLE), ("voice", 0), ("voice_vm", 0)])
def test_a_claim_reads_what_it_takes(full: psycopg.Connection, channel: str, rows: int) -> None:
    limits = {"patience_seconds": 900, "horizon_seconds": 1e6, "limit": BUNDLE}
    plan = explained(full, "claim", {"channel": channel, **limits})
    assert "fleet_outbox_poll" in {node.get("Index Name") for node in nodes(plan)}
    assert plan["Actual Rows"] == rows
    assert pages(plan) <= 200 + PAGES_PER_ROW * rows


@pytest.mark.parametrize("name", ["release", "read", "postpone", "give_up"])
def test_what_follows_a_claim_reads_its_bundle(full: psycopg.Connection, name: str) -> None:
    query = "SELECT id FROM channel_outbox WHERE status = 'sent' AND poll_at <= now() LIMIT %s"
    ids = [row[0] for row in full.execute(query, (BUNDLE,)).fetchall()]
    parameters: dict[str, object] = {
        "ids": ids,
        "rows": rows_of(ids),
        "delay_seconds": 1,
        "horizon_seconds": 1e6,
        "polled": polls.POLLED,
    }
    plan = explained(full, name, parameters)
    assert not [node for node in nodes(plan) if node["Node Type"] == "Seq Scan" and node.get("Relation Name")]
    assert plan["Actual Rows"] == BUNDLE
    assert pages(plan) <= 200 + PAGES_PER_ROW * BUNDLE


def rows_of(ids: list[UUID]) -> str:
    return "[" + ",".join(f'{{"id": "{id_}", "delay_seconds": 1}}' for id_ in ids) + "]"


def test_what_waits_is_counted_up_to_a_limit(full: psycopg.Connection) -> None:
    plan = explained(full, "waiting", {"channel": "sms", "limit": 1000})
    assert pages(plan) <= 2 * 1000 + 200


def test_what_waits_is_found_by_channel_where_that_is_an_enum(full: psycopg.Connection) -> None:
    with full.transaction(force_rollback=True):
        full.execute("RESET ROLE")
        full.execute("CREATE TYPE a_channel AS ENUM ('email', 'sms', 'voice')")
        full.execute("DROP TRIGGER fleet_guard ON channel_outbox")
        full.execute("ALTER TABLE channel_outbox ALTER channel TYPE a_channel USING channel::a_channel")
        full.execute("SET LOCAL enable_seqscan = off")  # few rows are read either way, and the question is by what
        full.execute("SET LOCAL ROLE fleet")
        plan = explained(full, "waiting", {"channel": "sms", "limit": 1000})
    read = [node for node in nodes(plan) if node.get("Index Name") == "fleet_outbox_poll"]
    assert len(read) == 2
    assert all("channel" in str(node["Index Cond"]) for node in read)
