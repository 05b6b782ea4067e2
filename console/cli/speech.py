"""How commands speak: one sentence for each kind of trouble, JSON for programs, tables for people."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any, NoReturn

import click
import orjson
import psycopg
import redis
from dotenv import dotenv_values
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config import version
from config.embedded.errors import EmbeddedError
from config.log import mask
from config.settings import SettingsError
from outbox.readiness import NotReady

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Exit(IntEnum):
    """What a script learns from the exit code."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNHEALTHY = 3
    NOTHING = 4
    PARTLY = 5
    INTERRUPTED = 130


class FleetGroup(click.Group):
    """A group whose commands may fail as they like; the sentence and the exit code are made here."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.name == "fleet":
            click.version_option(version.current(), prog_name="fleet")(self)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; turn what it raises into a sentence."""
        if ctx.parent is None:
            ctx.color = None if _colour_wanted() else False
            read_dotenv()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("interrupted", Exit.INTERRUPTED)
        except (SettingsError, EmbeddedError) as error:
            fail(str(error), Exit.USAGE)
        except NotReady as error:
            fail(str(error), Exit.FAILED)
        except psycopg.OperationalError as error:
            fail(f"PostgreSQL does not answer at DATABASE_URL ({first_line(error)})", Exit.FAILED)
        except psycopg.Error as error:
            fail(f"PostgreSQL refused: {first_line(error)}", Exit.FAILED)
        except redis.RedisError as error:
            fail(f"Redis does not answer at REDIS_URL ({first_line(error)})", Exit.FAILED)


def fail(sentence: str, code: Exit) -> NoReturn:
    """Say what is wrong on stderr and end with `code`."""
    click.echo(f"fleet: {plain(sentence)}", err=True)
    sys.exit(code)


def say(sentence: str) -> None:
    """Talk on stderr: progress and hints, never data."""
    click.echo(plain(sentence), err=True)


def plain(text: str) -> str:
    """Return the text without what a terminal would obey: control characters, and those that turn the writing."""
    return _OBEYED.sub("", text)


def masked(value: Any) -> Any:
    """Return data with every address in it masked, also inside of lists and objects."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: masked(one) for name, one in value.items()}
    return [masked(one) for one in value] if isinstance(value, list) else value


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text: drivers add hints that repeat the address."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def json_wanted(flag: bool) -> bool:
    """Tell whether data is to be JSON: asked for, or not read by a person."""
    return flag or not sys.stdout.isatty()


def print_json(data: Any) -> None:
    """Print one JSON document."""
    click.echo(orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Print a table for people. Cells are taken literally: what others wrote is no markup and steers no terminal."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else plain(str(cell))) for cell in row))
    Console(no_color=not _colour_wanted()).print(table)


def confirmed(question: str, yes: bool) -> None:
    """Ask a person; a script must have said --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{question} Add --yes where nobody can be asked.", Exit.USAGE)
    click.confirm(question, abort=True, err=True)


def read_dotenv() -> None:
    """Take what `.env` in this folder says and the environment does not, for this process and those it starts."""
    with suppress(OSError):
        for name, value in dotenv_values(".env").items():
            if value is not None:
                os.environ.setdefault(name, value)


def _colour_wanted() -> bool:
    return "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()
