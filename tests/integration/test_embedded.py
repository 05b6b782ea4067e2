"""The embedded servers as their users meet them: shared, outliving whoever is killed, gone with the last user."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Timer

import psutil
import pytest

from config import embedded
from config.embedded import lifecycle
from config.embedded.place import Place
from config.embedded.postgres import Postgres
from config.embedded.valkey import Valkey

from .embedded_users import User, ask, erased_afterwards, eventually, living, redis_at


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with erased_afterwards(tmp_path / "a home, with blanks") as home:
        yield home


def test_six_processes_at_once_share_what_one_of_them_starts(home: Path) -> None:
    users = [User(home) for _ in range(6)]
    given = [user.servers() for user in users]
    assert all(servers == given[0] for servers in given)
    assert embedded.status(home).postgres_process_id == given[0]["postgres_process_id"]
    for user in users[:-1]:
        assert user.leave() == ""
    assert ask(given[0]["database_url"], "SELECT 1") == 1

    users[-1].leave()

    assert not embedded.status(home).is_running, "the last one to leave returns after the servers have ended"
    eventually(lambda: not living(home))


def test_they_outlive_their_starter_and_end_with_the_last_user_however_it_died(home: Path) -> None:
    starter, other, joined = User(home), User(home), None
    try:
        given = starter.servers()
        other.servers()
        joined = User(home, "join")
        joined.servers()
        starter.kill(signal.SIGINT)
        other.kill()
        assert ask(given["database_url"], "SELECT 1") == 1
        with redis_at(given["redis_url"]) as client:
            assert client.ping()
    finally:
        if joined:
            joined.kill()
    eventually(lambda: not living(home))


def test_a_killed_keeper_is_replaced_and_not_needed_to_stop(home: Path) -> None:
    with embedded.running(home, durable=False):
        first = embedded.status(home).keeper_process_id
        assert first is not None
        os.kill(first, signal.SIGKILL)
        eventually(lambda: embedded.status(home).keeper_process_id is None)
        user = User(home)
        user.servers()
        second = embedded.status(home).keeper_process_id
        assert second not in (None, first)
        os.kill(second or 0, signal.SIGKILL)
        assert embedded.stop(home)
        assert not embedded.stop(home)
        user.kill()
    assert not living(home)


def test_servers_killed_together_with_their_keeper_are_found_again(home: Path) -> None:
    user = User(home)
    given = user.servers()
    keeper = embedded.status(home).keeper_process_id
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    user.kill()
    with embedded.running(home, durable=False) as servers:
        assert servers.postgres_process_id == given["postgres_process_id"], "the orphaned server was taken over"
    assert not embedded.status(home).is_running


def test_killed_servers_come_back_with_their_rows_and_an_empty_queue(home: Path) -> None:
    with embedded.running(home) as servers:
        ask(servers.database_url, "CREATE TABLE kept (id int)")
        ask(servers.database_url, "INSERT INTO kept VALUES (7)")
        with redis_at(servers.redis_url) as client:
            client.set("lost", 1)
        for process_id in (servers.postgres_process_id, servers.valkey_process_id):
            assert process_id
            os.kill(process_id, signal.SIGKILL)
        with embedded.running(home) as again:
            assert ask(again.database_url, "SELECT id FROM kept") == 7
            with redis_at(again.redis_url) as client:
                assert client.dbsize() == 0
            assert again.postgres_process_id != servers.postgres_process_id
            assert again.valkey_process_id != servers.valkey_process_id


def test_rows_survive_kills_at_random_moments(home: Path) -> None:
    random = Random(20)
    with embedded.running(home) as servers:
        ask(servers.database_url, "CREATE TABLE kept (id serial)")
    for _ in range(4):
        user = User(home)
        eventually(lambda: living(home))
        killer = Timer(random.uniform(0.1, 0.6), user.kill)
        killer.start()
        killer.join()
        left = living(home)
        for process in random.sample(left, k=min(2, len(left))):
            with suppress(psutil.NoSuchProcess):  # its leader went first
                process.kill()
        with embedded.running(home) as servers:
            before = ask(servers.database_url, "SELECT count(*) FROM kept")
            ask(servers.database_url, "INSERT INTO kept DEFAULT VALUES")
            assert ask(servers.database_url, "SELECT count(*) FROM kept") == before + 1
    assert before == 3


def test_a_stale_pid_file_with_a_foreign_number_harms_nobody(home: Path) -> None:
    with embedded.running(home, durable=False) as servers:
        pass
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as foreigner:
        for stale in (servers.data_directory / "postmaster.pid", servers.socket_directory / ".s.PGSQL.5432.lock"):
            stale.write_text(f"{foreigner.pid}\n{servers.data_directory}\n1\n5432\n\n\n\nready\n")
        with embedded.running(home, durable=False) as again:
            assert ask(again.database_url, "SELECT 1") == 1
            assert again.postgres_process_id != foreigner.pid
        assert foreigner.poll() is None
        foreigner.communicate(b"\n")
        assert foreigner.returncode == 0


def test_a_backend_that_outlives_its_postmaster_is_ended_before_the_next_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "ORPHANS_SECONDS", 0.5)
    with embedded.running(home, durable=False) as servers:
        statement = "SELECT count(*) FROM generate_series(1, 100000000000)"
        script = "import sys, psycopg; psycopg.connect(sys.argv[1]).execute(sys.argv[2])"
        client = subprocess.Popen([sys.executable, "-c", script, servers.database_url, statement], stderr=-3)
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT count(*) FROM generate%'"
        eventually(lambda: ask(servers.database_url, busy) == 1)
        psutil.Process(servers.postgres_process_id).kill()
        with embedded.running(home, durable=False) as again:
            assert ask(again.database_url, busy) == 0
        client.wait()


def test_a_killed_initdb_leaves_no_half_cluster(home: Path) -> None:
    user = User(home)
    eventually(lambda: any("initdb" in process.name() for process in living(home)))
    user.kill()
    with embedded.running(home, durable=False) as servers:
        assert ask(servers.database_url, "SELECT 1") == 1
        assert [path.name for path in servers.data_directory.parent.glob("postgres*.new")] == []


def test_a_server_that_dies_at_its_start_is_reported_with_its_last_words(home: Path) -> None:
    with embedded.running(home, durable=False) as servers:
        pass
    with (servers.data_directory / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(embedded.NotUp, match="no_such_setting"), embedded.running(home, durable=False):
        pass
    eventually(lambda: not living(home))


def test_a_server_that_does_not_answer_is_waited_for_and_spoken_of(home: Path) -> None:
    with embedded.running(home, postgres=False) as servers:
        valkey = psutil.Process(servers.valkey_process_id)
        valkey.suspend()
        user = User(home, "join")
        assert user.process.stderr
        spoken = user.process.stderr.readline()
        assert "waiting for Valkey" in spoken
        valkey.resume()
        user.kill()


def test_join_without_servers_says_what_to_do_and_creates_nothing(home: Path) -> None:
    with pytest.raises(embedded.NotRunning, match=r"DATABASE_URL.*fleet up"), embedded.join(home):
        pass
    assert not home.exists()
    assert not embedded.status(home).is_running
    with embedded.running(home, postgres=False) as servers:
        assert servers.postgres_process_id is None
        with pytest.raises(embedded.NotRunning, match="no PostgreSQL runs"), embedded.join(home):
            pass
        with embedded.join(home, postgres=False) as joined:
            assert joined.valkey_process_id == servers.valkey_process_id
        assert not servers.data_directory.exists()


def test_two_homes_do_not_disturb_each_other(home: Path, tmp_path: Path) -> None:
    # So long that its sockets cannot lie in it.
    with (
        erased_afterwards(tmp_path / ("long" * 30)) as long_home,
        embedded.running(home, durable=False) as one,
        embedded.running(long_home, durable=False) as two,
    ):
        assert len(str(two.socket_directory)) < len(str(long_home))
        assert two.socket_directory.stat().st_mode & 0o077 == 0
        assert ask(one.database_url, "SHOW data_directory") != ask(two.database_url, "SHOW data_directory")
        assert embedded.stop(home)
        assert ask(two.database_url, "SELECT 1") == 1
        with redis_at(two.redis_url) as client:
            assert client.ping()


@pytest.mark.parametrize("made_anew", [True, False])
def test_a_removed_home_takes_its_servers_with_it_but_not_its_successors(made_anew: bool) -> None:
    # In a folder that every account can pass through: the data must not lie elsewhere.
    with tempfile.TemporaryDirectory() as name, erased_afterwards(Path(name, "home")) as home:
        Path(name).chmod(0o755)
        old = User(home)
        given = old.servers()
        eventually(lambda: _removed(home))
        if made_anew:
            with embedded.running(home, durable=False) as servers:
                assert not psutil.pid_exists(given["valkey_process_id"])
                old.kill()
                eventually(lambda: len(_keepers(home)) == 1)
                assert ask(servers.database_url, "SELECT 1") == 1
        else:
            old.kill()
        eventually(lambda: not living(home))


def test_the_callers_environment_does_not_reach_the_servers(home: Path) -> None:
    user = User(home, env={"PGPORT": "1", "PGDATA": "/nowhere", "LANG": "C", "SECRET_OF_OURS": "1"})
    given = user.servers()
    for name in ("postgres_process_id", "valkey_process_id"):
        assert psutil.Process(given[name]).net_connections("inet") == []
    url = given["database_url"]
    ask(url, "CREATE TABLE environment (line text)")
    ask(url, "COPY environment FROM PROGRAM 'env'")
    assert ask(url, "SELECT count(*) FROM environment WHERE line = 'LANG=C.UTF-8'") == 1
    assert ask(url, "SELECT count(*) FROM environment WHERE line ~ '^(PGPORT|SECRET_OF_OURS)=|/nowhere'") == 0
    assert ask(url, "SELECT current_database()") == "fleet"
    assert ask(url, "SELECT pg_encoding_to_char(encoding) || datcollate FROM pg_database") == "UTF8C.UTF-8"
    assert ask(url, "SHOW fsync") == "off", "durable=False"
    with redis_at(given["redis_url"]) as client:
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
    user.leave()


def test_signals_reach_the_servers_on_a_kernel_without_process_handles(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_process_id: int) -> int:
        raise OSError(errno.ENOSYS, "not implemented")

    with embedded.running(home, postgres=False):
        monkeypatch.setattr(os, "pidfd_open", refuse)
        assert embedded.stop(home)
        assert not embedded.status(home).is_running


def test_an_answer_from_another_folder_is_no_answer(home: Path, tmp_path: Path) -> None:
    with embedded.running(home, durable=False) as servers:
        strange = Place(tmp_path, tmp_path / "strange", servers.socket_directory)
        strange.postgres.mkdir(parents=True)
        own = psutil.Process()
        (strange.postgres / "postmaster.pid").write_text(f"{own.pid}\n\n\n\n\n\n\nready\n")
        for server in (Valkey(strange), Postgres(strange)):
            with pytest.raises(embedded.NotUp, match="fleet down"):
                server.answers(own)


def test_a_missing_wheel_is_named_before_anything_is_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(embedded.NotInstalled, match=r"\[embedded\]"), embedded.running(home):
        pass
    assert not home.exists()


def _removed(home: Path) -> bool:
    shutil.rmtree(home, ignore_errors=True)
    return not home.exists()


def _keepers(home: Path) -> list[psutil.Process]:
    return [process for process in living(home) if "config.embedded.keeper" in _command(process)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return []
