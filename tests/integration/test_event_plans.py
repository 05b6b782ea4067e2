"""Claiming and applying events, and settling a second attempt, stay on their indexes, however much is kept."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest

from outbox import effects, events, polls
from outbox.queries import load
from tests.integration.test_index_plans import nodes

ROWS = 100_000
BUNDLE = 100
PAGES_PER_EVENT = 60
NIL = UUID(int=0)

_EVENTS, _STARTS = load("events"), load("starts")
_MESSAGES = """
    INSERT INTO channel_outbox (id, workspace_id, channel, recipient_phone, payload, status, attempts, send_key)
    SELECT md5(i::text)::uuid, md5((i %% 1000)::text)::uuid, 'sms', '+14155550100', '{}', 'sending', 2, md5('b2')::uuid
    FROM generate_series(1, %s) AS i
"""
_ATTEMPTS = """
    INSERT INTO fleet.attempts (
        message_id, number, counted, id, send_key, provider, account, account_tenant_id, address, started_at,
        finished_at, outcome, provider_message_id
    )
    SELECT m.id, 1, true, fleet.attempt_id(md5('b1')::uuid, m.id), md5('b1')::uuid, 'twilio', 'a', %s, '+' || i, now(),
        now(), 'accepted', 'SM' || i
    FROM generate_series(1, %s) AS i
    CROSS JOIN LATERAL (SELECT md5(i::text)::uuid AS id) AS m
"""
_STORED = """
    INSERT INTO fleet.events (
        provider, tenant_id, event_id, kind, provider_message_id, message_id, attempt_id, body, applied_at, next_try_at
    )
    SELECT 'twilio', %s, 'SM' || i || ':sent', 'accepted', 'SM' || i, CASE WHEN i %% 2 = 0 THEN m.id END,
        CASE WHEN i %% 2 = 0 THEN fleet.attempt_id(md5('b1')::uuid, m.id) END, '{}',
        CASE WHEN i > 1000 THEN now() END, CASE WHEN i <= 1000 THEN now() - interval '1 hour' END
    FROM generate_series(1, %s) AS i
    CROSS JOIN LATERAL (SELECT md5(i::text)::uuid AS id) AS m
"""


@pytest.fixture(scope="module")
def full(module_database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(module_database_url, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(_MESSAGES, (ROWS,))
        owner.execute(_ATTEMPTS, (NIL, ROWS))
        owner.execute(_STORED, (NIL, ROWS))
        owner.execute("SET session_replication_role = origin")
        owner.execute("VACUUM ANALYZE channel_outbox, fleet.attempts, fleet.events")
        owner.execute("SET ROLE fleet")
        yield owner


def scanned(owner: psycopg.Connection, statement: bytes, parameters: dict[str, object]) -> tuple[set[str], int]:
    """The tables that the statement read from end to end, and how many pages it touched."""
    with owner.transaction(force_rollback=True):
        found = owner.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, parameters).fetchone()
    assert found
    plan = found[0][0]["Plan"]
    tables = {str(node["Relation Name"]) for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
    return tables, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def some_events(owner: psycopg.Connection) -> tuple[list[int], list[UUID]]:
    query = "SELECT id, md5(substr(provider_message_id, 3))::uuid FROM fleet.events WHERE applied_at IS NULL LIMIT %s"
    rows = owner.execute(query, (BUNDLE,)).fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


@pytest.mark.parametrize("name", ["claim", "release", "apply_lock", "apply", "wait"])
def test_an_events_way_reads_what_it_takes(full: psycopg.Connection, name: str) -> None:
    ids, message_ids = some_events(full)
    limits: dict[str, object] = {
        "limit": BUNDLE,
        "lease_seconds": 60,
        "delay_seconds": 1,
        "tries": 9,
        "cap_seconds": 60,
        "remaining": events.REMAINING,
        "polled": polls.POLLED,
    }
    tables, pages = scanned(full, _EVENTS[name], {"ids": ids, "message_ids": message_ids, **limits})
    assert not tables & {"events", "attempts", "channel_outbox"}
    assert pages <= 200 + PAGES_PER_EVENT * BUNDLE


def test_a_second_settlement_finds_the_first_by_its_key(full: psycopg.Connection) -> None:
    _, message_ids = some_events(full)
    key, lease = full.execute("SELECT md5('b2')::uuid").fetchone(), uuid4()
    assert key is not None
    with full.transaction(force_rollback=True):
        full.execute(
            "INSERT INTO fleet.batches (send_key, channel, provider, account, account_tenant_id, member_ids, addresses,"
            " first_sent_at, lease_token, lease_expires_at)"
            " VALUES (%s, 'sms', 'twilio', 'a', %s, %s, '{}', now(), %s, now() + interval '1 hour')",
            (key[0], NIL, message_ids, lease),
        )
        answer = {
            "send_key": key[0],
            "lease": lease,
            "status": "sent",
            "outcome": "accepted",
            "provider": "twilio",
            "account": "a",
            "account_tenant_id": NIL,
            "counted": True,
            "elapsed_seconds": 0,
            "age_seconds": 0,
        }
        rows = orjson.dumps([{**answer, "id": id_} for id_ in message_ids]).decode()
        none: dict[str, object] = {"finished": "[]", "kept": "[]", "worker": "test", "askable": [], "idempotent": []}
        parameters = {"rows": rows, **none}
        tables, pages = scanned(full, _STARTS["settle"], parameters)
    assert not tables & {"attempts", "channel_outbox"}
    assert pages <= 200 + PAGES_PER_EVENT * BUNDLE


@pytest.mark.parametrize("name", effects.EFFECTS)
def test_what_events_mean_reads_what_they_are_about(full: psycopg.Connection, name: str) -> None:
    ids, _ = some_events(full)
    with full.transaction(force_rollback=True):
        full.execute(
            "UPDATE fleet.events SET kind = %s, applied_at = now(), next_try_at = NULL, channel = 'sms',"
            " workspace_id = md5(id::text)::uuid, address = '+' || substr(provider_message_id, 3) WHERE id = ANY (%s)",
            ({"suppress": "bounced", "release": "resumed"}.get(name, "soft_bounced"), ids),
        )
        tables, pages = scanned(full, effects.EFFECTS[name], {**effects.PARAMETERS, "ids": ids})
    assert not tables & {"events", "attempts", "channel_outbox"}
    assert pages <= 200 + PAGES_PER_EVENT * BUNDLE


def test_whose_a_persons_event_is_is_found_by_what_was_sent_to_them(full: psycopg.Connection) -> None:
    ids, _ = some_events(full)
    with full.transaction(force_rollback=True):
        full.execute(
            "UPDATE fleet.events SET kind = 'resumed', proves = NULL, message_id = NULL, attempt_id = NULL,"
            " address = '+' || substr(provider_message_id, 3) WHERE id = ANY (%s)",
            (ids,),
        )
        people: dict[str, object] = {"ids": ids, "days": 90, "ours": events.OURS, "nobody": NIL}
        tables, pages = scanned(full, _EVENTS["attach"], people)
    assert not tables & {"events", "attempts", "channel_outbox"}
    assert pages <= 200 + PAGES_PER_EVENT * BUNDLE


def test_a_recipients_last_words_are_found_among_our_own(full: psycopg.Connection) -> None:
    who = {"workspace_id": NIL, "channel": "email", "address": "ada@mail.io"}
    tables, pages = scanned(full, load("unsubscribing")["last_words"], who)
    assert "events" not in tables
    assert pages <= 200
