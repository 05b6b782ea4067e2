"""Which servers a process uses, and what of the embedded ones can be decided without starting any."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded, servers, settings
from config.embedded import elsewhere, patience
from config.embedded.errors import Stalled
from config.embedded.place import Place, find

GIVEN = {"DATABASE_URL": "postgresql://app:secret@db/fleet", "REDIS_URL": "redis://cache:6379/0"}


def test_configured_addresses_are_used_and_nothing_embedded_is_imported(tmp_path: Path) -> None:
    script = (
        "import sys; from config import servers, settings\n"
        "with servers.resolve(settings.load(), start=True) as addresses:\n"
        "    assert addresses.redis_url == 'redis://cache:6379/0'\n"
        "print('config.embedded' in sys.modules, addresses)"
    )
    environ = {**os.environ, **GIVEN, "FLEET_HOME": str(tmp_path / "home")}
    shown = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert shown.stdout == "False Addresses()\n", "an address may carry a password"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("given", ["DATABASE_URL", "REDIS_URL"])
def test_a_missing_server_that_may_not_be_started_must_run(tmp_path: Path, given: str) -> None:
    chosen = settings.load({given: GIVEN[given], "FLEET_HOME": str(tmp_path / "home")})
    with pytest.raises(embedded.NotRunning, match="fleet up"), servers.resolve(chosen, start=False):
        pass
    assert not (tmp_path / "home").exists()


def test_the_configured_one_wins_and_only_the_other_is_embedded(tmp_path: Path) -> None:
    chosen = settings.load({"DATABASE_URL": GIVEN["DATABASE_URL"], "FLEET_HOME": str(tmp_path / "home")})
    try:
        with servers.resolve(chosen, start=True) as addresses, servers.resolve(chosen, start=False) as joined:
            assert addresses == joined
            assert addresses.database_url == GIVEN["DATABASE_URL"]
            assert addresses.redis_url.startswith("unix:///")
            assert embedded.status(chosen.home).postgres_process_id is None
            assert embedded.status(chosen.home).valkey_process_id is not None
    finally:
        embedded.erase(chosen.home)


def test_importing_the_embedded_servers_is_cheap() -> None:
    script = "import sys, config.embedded; print({'psycopg', 'redis', 'pydantic'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"


class Waiting:
    """A wait under a clock of its own, in which every pause takes one second."""

    def __init__(self, progress: Iterator[object], leap_seconds: float = 1.0) -> None:
        self.now = 0.0
        self.leap_seconds = leap_seconds
        self.patience = patience.Patience(
            "waiting for a server",
            lambda: next(progress),
            lambda: "redo",
            stalled_seconds=60.0,
            clock=lambda: self.now,
            pause=self._pause,
        )

    def wait(self, times: int) -> None:
        for _ in range(times):
            self.patience.wait()

    def _pause(self, _seconds: float) -> None:
        self.now += self.leap_seconds


def test_what_moves_is_waited_for_without_limit_and_not_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = Waiting(iter(range(10_000)))
    waiting.wait(3600)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "fleet: waiting for a server (3 s) redo"
    assert len(said) == 360


def test_what_does_not_move_is_given_up() -> None:
    waiting = Waiting(iter([1] * 1000))
    with pytest.raises(Stalled, match=r"nothing moves for 60 s\. redo"):
        waiting.wait(100)
    assert waiting.now == pytest.approx(61, abs=1)


def test_a_process_that_was_itself_stopped_for_an_hour_does_not_give_up() -> None:
    waiting = Waiting(iter([1] * 1000), leap_seconds=3600)
    waiting.wait(5)


def test_addresses_survive_any_name_of_a_folder(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, Path("/a b/ü?&%/sockets"))
    assert place.database_url("fleet") == ("postgresql://postgres@/fleet?host=/a%20b/%C3%BC%3F%26%25/sockets&port=5432")
    assert place.redis_url == "unix:///a%20b/%C3%BC%3F%26%25/sockets/valkey.sock"


def test_sockets_lie_elsewhere_where_a_client_could_not_name_them() -> None:
    assert elsewhere.fits_sockets(Path("/home/somebody/a project/.fleet"))
    assert not elsewhere.fits_sockets(Path("/" + "long" * 20))
    assert not elsewhere.fits_sockets(Path("/one,two"))


def test_a_note_about_another_folder_is_not_believed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    others = tmp_path / "fleet-0123456789ab-strange"
    others.mkdir(mode=0o700, parents=True)
    home.mkdir()
    for note in ("", "[]", '{"folder": 1}', json.dumps({"folder": str(others), "holds_data": True})):
        (home / "elsewhere.json").write_text(note)
        assert elsewhere.read(home) is None
        assert find(home).postgres == home / "postgres"
