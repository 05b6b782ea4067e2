"""PostgreSQL in the versions beside the embedded one: Debian's 15, and 17 when POSTGRES_17_BIN names its binaries.

Owns how such a server is made, started and ended. It listens on a unix socket in a temporary folder only, keeps
nothing, and dies with the process that started it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from config import embedded
from config.embedded.account import Account, choose
from config.process import signal_when_parent_dies
from tests import in_memory

EMBEDDED = "embedded"
VERSIONS = (EMBEDDED, "15", "17") if "POSTGRES_17_BIN" in os.environ else (EMBEDDED, "15")
START_SECONDS = 60.0
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_min_messages": "panic",
}


def binaries(version: str) -> Path:
    """Return the folder with `postgres` and `initdb`; skip the test, by name, where this machine has none."""
    named = os.environ.get(f"POSTGRES_{version}_BIN", f"/usr/lib/postgresql/{version}/bin")
    if not (Path(named) / "postgres").is_file():
        pytest.skip(f"PostgreSQL {version} is not installed: POSTGRES_{version}_BIN may name its bin folder")
    return Path(named)


@contextmanager
def running(version: str) -> Iterator[str]:
    """Give the superuser URL of a server of this version and of nobody else's, for the length of the block."""
    with in_memory.folder() as folder:
        if version == EMBEDDED:
            with embedded.running(folder, durable=False, valkey=False) as servers:
                yield servers.database_url
            return
        programs, account = binaries(version), choose()
        if not account.is_current:
            os.chown(folder, account.user_id, account.group_id)
        _make_cluster(programs, folder, account)
        server = _start(programs, folder, account)
        try:
            url = f"postgresql://postgres@/postgres?host={folder}&port=5432"
            _wait(url, server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(START_SECONDS)


@contextmanager
def database(server_url: str, owner: str = "postgres") -> Iterator[str]:
    """Give the URL of an empty database on a server, for the length of the block."""
    name = f"other_{uuid4().hex[:12]}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {}").format(*map(sql.Identifier, (name, owner)))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(create)
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _make_cluster(programs: Path, folder: Path, account: Account) -> None:
    options = ["-E", "UTF8", "--locale=C", "-A", "trust", "-U", "postgres", "--no-sync"]
    command = [str(programs / "initdb"), "-D", str(folder / "data"), *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, **account.identity())


def _start(programs: Path, folder: Path, account: Account) -> "subprocess.Popen[bytes]":
    settings = _SETTINGS | {"unix_socket_directories": str(folder)}
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    return subprocess.Popen(
        [str(programs / "postgres"), "-D", str(folder / "data"), *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal_when_parent_dies(signal.SIGQUIT),  # noqa: PLW1509 - one system call, no lock
        **account.identity(),
    )


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert server.poll() is None, "PostgreSQL ended while it started"
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.05)
        else:
            return
