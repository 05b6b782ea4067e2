"""What the platform was promised: rows with its own columns, by plain SQL, go out once each and come back answered."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psycopg

from benchmarks.running import ROOT, module, until
from config.catalog import CATALOG
from tests.acceptance.conftest import environment

MESSAGES = 10_000
WORKSPACES = 10
TARGET_SECONDS = 60.0
"""What is promised for an idle machine, and printed beside what was measured. A loaded one gets three times as much."""

_INSERT = """
    INSERT INTO channel_outbox (workspace_id, tenant_id, channel, provider, recipient_email, recipient_phone, payload,
        status, scheduled_at, idempotency_key)
    SELECT workspace.id, workspace.id, kind.channel, kind.provider,
        CASE WHEN kind.channel = 'email' THEN 'person' || i || '@mail.dev' END,
        CASE WHEN kind.channel <> 'email' THEN '+1415' || (2000000 + i) END,
        kind.payload, 'scheduled', now(), 'promise ' || i
    FROM generate_series(1, %(count)s) AS i
    CROSS JOIN LATERAL (SELECT md5((i %% %(workspaces)s)::text)::uuid AS id) AS workspace
    JOIN (VALUES
        (0, 'email', 'resend', '{"subject": "Hello", "html": "<p>Hello</p>", "text": "Hello"}'::jsonb),
        (1, 'sms', 'twilio', '{"body": "Hello"}'),
        (2, 'voice', 'twilio', '{"say": "Hello"}'),
        (3, 'voice', 'vapi', '{"assistant_id": "assistant", "first_message": "Hello"}')
    ) AS kind (number, channel, provider, payload) ON kind.number = i %% 4
"""
_VENDOR_IDS = "SELECT coalesce(provider_response ->> 'id', provider_response ->> 'sid') FROM channel_outbox"
_CREDENTIALS = {
    "RESEND_API_KEY": "re_test",
    "RESEND_FROM_EMAIL": "us@example.com",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "token",
    "TWILIO_PHONE_NUMBER": "+15005550006",
    "VAPI_PRIVATE_KEY": "key",
    "VAPI_PHONE_NUMBER_ID": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
}


def test_ten_thousand_rows_of_ten_workspaces(home: Path) -> None:
    with module("simulator", "--port", "0", "--latency-ms", "25") as vendor:
        addresses = {facts.url_variable: vendor for facts in CATALOG.values()}
        env = environment(home, **_CREDENTIALS, **addresses, FLEET_DEFAULT_LIMITS="off")
        command = [sys.executable, "-m", "console", "up", "--no-web"]
        up = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert up.stderr
        try:
            said = _until_up(up)
            database = re.findall(r"psql '(\S+)'", said)[0]
            with psycopg.connect(database, autocommit=True) as owner:
                owner.execute(_INSERT, {"count": MESSAGES, "workspaces": WORKSPACES})
                began = time.monotonic()
                until(lambda: _count(owner, "status = 'sent'") == MESSAGES, patience_seconds=3 * TARGET_SECONDS)
                took = time.monotonic() - began
                assert _count(owner, "sent_at IS NULL OR provider_response IS NULL") == 0
                ids = {str(row[0]) for row in owner.execute(_VENDOR_IDS).fetchall()}
        finally:
            up.send_signal(signal.SIGINT)
            assert up.wait(60) == 0
            up.stderr.close()
        with urllib.request.urlopen(f"{vendor}/stats", timeout=30) as answer:
            totals = json.load(answer)["totals"]
        with urllib.request.urlopen(f"{vendor}/stats/accepted", timeout=60) as answer:
            accepted = {json.loads(line)["id"] for line in answer if line.strip()}
    print(f"{MESSAGES} rows were all sent in {took:.1f} s (promised: {TARGET_SECONDS:.0f})")
    assert (totals["accepted"], totals["duplicates"]) == (MESSAGES, 0)
    assert ids == accepted


def _until_up(up: "subprocess.Popen[str]") -> str:
    said = ""
    assert up.stderr
    for line in up.stderr:
        said += line
        if line.startswith("up: "):
            return said
    raise AssertionError(f"fleet up ended: {said}")


def _count(owner: psycopg.Connection, condition: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM channel_outbox WHERE {condition}".encode()).fetchone()
    return int(row[0]) if row else 0
