"""`fleet up`: a fresh folder, one command, and rows by plain SQL arrive."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

from benchmarks.load import insert
from benchmarks.running import ROOT, until
from config import embedded
from tests.acceptance.conftest import FULL, answers, environment, free_port, processes_of

MESSAGES = 10_000 if FULL else 1_000


def fleet(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "console", *arguments]
    ended = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    print(ended.stdout, ended.stderr)
    return ended


def test_from_nothing_to_delivered(home: Path) -> None:
    port = free_port()
    env = environment(home, PORT=str(port))
    command = [sys.executable, "-m", "console", "up"]
    up = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert up.stderr
    try:
        said = [up.stderr.readline() for _ in range(5)]
        assert said[0] == "simulated: resend, twilio, vapi (neither credentials nor an address are set)\n"
        simulator = re.findall(r"simulator: (\S+)/stats", said[1])[0]
        database = re.findall(r"psql '(\S+)'", said[2])[0]
        assert "up: scheduler, email, sms, voice, events, jobs, web" in said[4]
        until(lambda: answers(f"http://127.0.0.1:{port}/livez"))
        with psycopg.connect(database, autocommit=True) as owner:
            insert(owner, "email", MESSAGES // 2, "a")
            insert(owner, "sms", MESSAGES // 2, "b")
            until(lambda: _count(owner, "status = 'delivered'") == MESSAGES, patience_seconds=180)
            assert _count(owner, "provider_response IS NULL") == 0
        with urllib.request.urlopen(f"{simulator}/stats", timeout=30) as answer:
            totals = json.load(answer)["totals"]
        assert (totals["accepted"], totals["duplicates"]) == (MESSAGES, 0)

        seen = json.loads(fleet("status", "--json", env=env).stdout)
        assert seen["channels"]["email"]["statuses"] == {"delivered": MESSAGES // 2}
        assert seen["channels"]["email"]["workers"] == 1
        _a_dead_scheduler_is_started_again(up.pid)
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
        up.stderr.close()
    assert not processes_of(home)


def test_without_servers_other_commands_say_what_to_do(home: Path) -> None:
    for command in (["status"], ["db", "migrate"], ["messages", "list"]):
        ended = fleet(*command, env=environment(home))
        assert ended.returncode == 2
        assert "fleet up" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not home.exists()


def test_down_ends_what_a_killed_up_left(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    with embedded.running(home):
        ended = fleet("down", env=environment(home))
        assert (ended.returncode, ended.stderr) == (0, "stopped\n")
    assert fleet("down", env=environment(home)).stderr == "nothing was running\n"


def test_a_wrong_environment_is_one_report(home: Path) -> None:
    env = environment(home, FLEET_LEASE_SECOND="5", DATABASE_URL="mysql://me:hidden@db/x", RESEND_API_URL="ftp://x")
    ended = fleet("up", env=env)

    assert ended.returncode == 2
    for sentence in (
        "FLEET_LEASE_SECOND: no such setting",
        "DATABASE_URL: must start with",
        "RESEND_API_URL: must be a plain http",
    ):
        assert sentence in ended.stderr
    assert "hidden" not in ended.stderr
    for module in ("scheduler", "workers email"):
        ended = subprocess.run(
            [sys.executable, "-m", *module.split()],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 2
        assert "DATABASE_URL: must start with" in ended.stderr


def test_a_database_that_was_not_migrated_is_named(home: Path, empty_database: str, redis_url: str) -> None:
    env = environment(home, DATABASE_URL=empty_database, REDIS_URL=redis_url)
    ended = fleet("up", "--no-web", env=env)
    assert ended.returncode == 1
    assert "fleet db migrate" in ended.stderr
    ended = fleet("messages", "list", env=env)
    assert (ended.returncode, "fleet db migrate" in ended.stderr) == (1, True)


def _a_dead_scheduler_is_started_again(up: int) -> None:
    def scheduler() -> psutil.Process | None:
        for child in psutil.Process(up).children():
            with suppress(psutil.NoSuchProcess):  # gone since it was listed, or a zombie
                if child.cmdline()[-1:] == ["scheduler"]:
                    return child
        return None

    first = scheduler()
    assert first
    first.kill()
    until(lambda: (another := scheduler()) is not None and another.pid != first.pid)


def _count(owner: psycopg.Connection, condition: str) -> int:
    row = owner.execute(f"SELECT count(*) FROM channel_outbox WHERE {condition}".encode()).fetchone()
    return int(row[0]) if row else 0
