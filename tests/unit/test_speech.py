"""What others wrote reaches a terminal as text, and trouble as a sentence."""

import click
import psycopg
import pytest
from click.testing import CliRunner

from console.cli.speech import Exit, FleetGroup, fail, plain, print_table, say


def test_cells_are_no_markup_and_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("why",), [("[/b] [red]x[/red]",), ("\x1b]0;title\x07\x1b[2Jdone",), (None,), (3,)])
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "why",
        "[/b] [red]x[/red]",
        "]0;title[2Jdone",
        "",
        "3",
    ]


def test_what_is_said_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("held: \x1b[31mred\n\tnext")
    with pytest.raises(SystemExit):
        fail("no \x9b31m\u202etxet", Exit.FAILED)
    assert capsys.readouterr().err == "held: [31mred\n\tnext\nfleet: no 31mtxet\n"


def test_ordinary_writing_stays_as_it_is() -> None:
    assert plain("Grüße, 你好 👋🏽, a\tb\n") == "Grüße, 你好 👋🏽, a\tb\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            psycopg.errors.InsufficientPrivilege("permission denied for table x\nHINT: y"),
            "permission denied for table x",
        ),
        (psycopg.OperationalError("connection refused"), "does not answer"),
    ],
)
def test_whatever_the_database_refuses_is_one_sentence(error: psycopg.Error, sentence: str) -> None:
    @click.command()
    def refused() -> None:
        raise error

    ended = CliRunner().invoke(FleetGroup("any", commands=[refused]), ["refused"])

    assert ended.exit_code == Exit.FAILED
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
