"""The web process's probes and figures."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from admission.breaker import FAILURES, Breaker
from benchmarks.running import ROOT, until
from providers.base import Unknown
from tests.acceptance.conftest import environment
from tests.factories import insert, pause
from tests.vendors import account_of


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def web(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = environment(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url)
    command = [sys.executable, "-m", "uvicorn", "console.web:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, env={**os.environ, **env}, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return get(f"{url}/livez")[0] == 200
        except OSError:
            return False

    until(answers)
    yield url
    process.terminate()
    process.wait(30)


def test_the_page_to_unsubscribe_is_there(web: str) -> None:
    status, page = get(f"{web}/unsubscribe/x")
    assert (status, "<h1>Not found</h1>" in page) == (404, True)


def test_the_door_for_callbacks_is_open(web: str) -> None:
    environments = "00000000-0000-0000-0000-000000000000"
    for path in (f"twilio/{environments}", f"pigeon/{environments}", "twilio/x"):
        request = urllib.request.Request(f"{web}/webhooks/{path}", data=b"MessageSid=SM1")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=15)
        assert refused.value.code == 404, "no account is configured"
        refused.value.close()


async def test_an_open_breaker_is_a_figure(web: str, redis_url: str) -> None:
    breaker = Breaker(redis_url)
    for _ in range(FAILURES):
        breaker.note(account_of("twilio"), Unknown("timeout", "the vendor did not answer in time"))
    await breaker.flush()
    await breaker.close()

    status, body = await asyncio.to_thread(get, f"{web}/metrics")
    assert status == 200
    assert 'fleet_breaker_open{provider="twilio"} 1.0' in body


def test_probes_and_figures(web: str, owner: psycopg.Connection) -> None:
    insert(owner)
    pause(owner, "channel:sms")
    owner.execute("INSERT INTO fleet.audit_log (actor, action, subject) VALUES ('settle', 'duplicate', 'a message')")
    owner.execute(
        "INSERT INTO fleet.events (provider, tenant_id, event_id, kind, provider_message_id, body) "
        "VALUES ('twilio', gen_random_uuid(), 'SM1:sent:', 'accepted', 'SM1', '{}')"
    )

    assert get(f"{web}/livez") == (200, "ok")
    status, body = get(f"{web}/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "database": "ok", "redis": "ok"})
    status, body = get(f"{web}/metrics")
    assert status == 200
    assert 'fleet_outbox_messages{channel="email",state="due"} 1.0' in body
    assert "fleet_pauses 1.0" in body
    assert "fleet_duplicates_total 1.0" in body
    assert 'fleet_events_unapplied{state="given_up"} 1.0' in body
    assert 'fleet_events_unapplied{state="waiting"} 0.0' in body
    assert 'fleet_broker_messages{queue="email"} 0.0' in body
    assert 'fleet_breaker_open{provider="resend"} 0.0' in body
    assert "resend.dev" not in body

    owner.execute("DELETE FROM fleet.schema_migrations WHERE name LIKE 'fleet/%'")
    status, body = get(f"{web}/readyz")
    assert status == 503
    assert "fleet db migrate" in json.loads(body)["database"]
