"""Moments on the command line are read, or refused with a sentence and never with a traceback."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from console.cli.messages import messages
from console.cli.moment import Moment

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("0d", timedelta()),
    ],
)
def test_how_long_ago(text: str, ago: timedelta) -> None:
    assert abs(datetime.now(UTC) - ago - Moment().convert(text, None, None)) < MINUTE


@pytest.mark.parametrize("text", ["2026-01-31T09:00", "2026-01-31T10:00+01:00", "2026-01-31T09:00Z"])
def test_when(text: str) -> None:
    assert Moment().convert(text, None, None) == datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("²d", "٣d", "99999999999d", "9999999d", "9" * 5_000 + "s", "d", "", "-1d", "1.5h", "1 d", "1w", "yesterday"),
        *("2026-02-30", "0001-01-01T00:00+14:00"),
    ],
)
def test_what_is_none_is_refused_with_how_it_is_written(text: str) -> None:
    told = CliRunner().invoke(messages, ["list", f"--since={text}"])
    assert told.exit_code == 2
    assert isinstance(told.exception, SystemExit)
    assert "write 2h, 30m, 7d" in told.stderr


@given(st.text() | st.from_regex(r"\d+[smhd]"))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    with suppress(click.BadParameter):
        assert Moment().convert(text, None, None).tzinfo is UTC
