"""`fleet demo`: its figures are those of the ledger and of the vendors, and it leaves nothing behind."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg

from benchmarks.running import ROOT
from tests.acceptance.conftest import environment, processes_of

MESSAGES = 400


def test_the_figures_are_true(home: Path) -> None:
    env = environment(home, RESEND_API_KEY="re_of_somebody", DATABASE_URL="postgresql://production")
    command = [sys.executable, "-m", "console", "demo", "--keep", "--json", "--messages", str(MESSAGES)]
    demo = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert demo.stdout
    assert demo.stderr
    try:
        said = demo.stderr.readline() + demo.stderr.readline()
        database = re.findall(r"psql '(\S+)'", said)[0]
        simulator = re.findall(r"simulator: (\S+)/stats", said)[0]
        told = json.loads(_document(demo.stdout))
        with psycopg.connect(database) as owner:
            counted = owner.execute("SELECT status, count(*) FROM channel_outbox GROUP BY status").fetchall()
            rows: dict[str, int] = dict(counted)
            retried = owner.execute("SELECT count(*) FROM channel_outbox WHERE attempts > 1").fetchone()
        with urllib.request.urlopen(f"{simulator}/stats", timeout=30) as answer:
            totals = json.load(answer)["totals"]
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(60)
        demo.stdout.close()
        demo.stderr.close()

    total = told["total"]
    assert code == 0
    assert total["scheduled"] == MESSAGES
    assert rows == {"sent": total["sent"], "failed": total["failed"]}
    assert retried == (total["retried"],)
    assert (totals["accepted"], totals["duplicates"]) == (total["sent"], total["duplicated"])
    assert total["lost"] == total["duplicated"] == total["unknown"] == 0
    assert total["failed"] > 0
    assert total["retried"] > 0
    assert set(told) == {"email", "sms", "voice", "total"}
    assert not processes_of(home)


def _document(stream: object) -> str:
    """Read the one JSON document that is printed while the demo stays up."""
    lines: list[str] = []
    for line in stream:  # type: ignore[attr-defined]
        lines.append(line)
        if line == "}\n":
            break
    return "".join(lines)
