"""The state machine, its picture, and the statements that walk it say the same."""

import re

import pytest

from outbox import queries
from outbox.states import FINAL, STATUSES, TRANSITIONS, Status
from tests.conftest import ROOT

PICTURE = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
SQL_FILES = ("claims", "starts", "batches", "search", "adoption", "cancellation")


def test_nothing_leaves_a_final_status() -> None:
    assert not {source for source, _ in TRANSITIONS} & FINAL


def test_every_status_can_be_reached() -> None:
    reached = {Status.SCHEDULED} | {target for _, target in TRANSITIONS}
    assert reached | {Status.DELIVERED} == STATUSES


def test_the_picture_shows_exactly_these_ways() -> None:
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", PICTURE, re.MULTILINE)) - {("[*]", "scheduled")}
    assert {(Status(source), Status(target)) for source, target in drawn} == set(TRANSITIONS)


@pytest.mark.parametrize("file", SQL_FILES)
def test_every_statement_that_moves_a_message_names_the_status_it_expects(file: str) -> None:
    moving = {name: sql.decode() for name, sql in queries.load(file).items() if "SET status" in sql.decode()}
    assert moving
    for name, statement in moving.items():
        update = statement[statement.index("UPDATE public.channel_outbox") :]
        assert re.search(r"WHERE[\s\S]*o\.status (= '|IN \()", update), name


@pytest.mark.parametrize("file", sorted(path.stem for path in (ROOT / "outbox" / "sql").glob("*.sql")))
def test_statements_ask_the_ledgers_clock(file: str) -> None:
    for name, statement in queries.load(file).items():
        assert not re.search(r"(?<![.\w])(now\(\)|current_timestamp)", statement.decode(), re.IGNORECASE), name
