"""The state machine, its picture, and the statements that walk it say the same."""

import re

import pytest

from outbox import queries
from outbox.states import FINAL, STATUSES, TRANSITIONS, Status
from tests.conftest import ROOT

PICTURE = (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
SQL = ROOT / "outbox" / "sql"
SQL_FILES = sorted(path.stem for path in SQL.glob("*.sql") if "SET status" in path.read_text() and path.stem != "jobs")


def test_nothing_leaves_a_final_status() -> None:
    assert not {source for source, _ in TRANSITIONS} & FINAL


def test_every_status_can_be_reached() -> None:
    reached = {Status.SCHEDULED} | {target for _, target in TRANSITIONS}
    assert reached | {Status.DELIVERED} == STATUSES


def test_the_picture_shows_exactly_these_ways() -> None:
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", PICTURE, re.MULTILINE)) - {("[*]", "scheduled")}
    assert {(Status(source), Status(target)) for source, target in drawn} == set(TRANSITIONS)


def moves(statement: str) -> str | None:
    """The UPDATE that changes a message's status, up to its end; None where the statement changes none."""
    found = re.search(r"UPDATE public\.channel_outbox o\s+SET status = .*?(?=RETURNING)", statement, re.DOTALL)
    return found.group() if found else None


def expected(update: str) -> set[Status]:
    """The statuses that its WHERE names."""
    named = re.findall(
        r"\bo\.status (?:= |IN \(|IS NOT DISTINCT FROM )('\w+'(?:, '\w+')*)", update[update.rindex("WHERE") :]
    )
    return {Status(status) for status in re.findall(r"\w+", " ".join(named))}


def written(update: str) -> set[Status]:
    """The statuses that its SET writes; none where the status is a value of the row that it is given."""
    literal = re.match(r"[\s\S]*?SET status = (?:'(\w+)'|CASE ([\s\S]*?) END,)", update)
    if literal is None:
        return set()
    return {Status(status) for status in [literal[1]] if status} | {
        Status(status) for status in re.findall(r"(?:THEN|ELSE) '(\w+)'", literal[2] or "")
    }


def said(statement: str) -> set[tuple[Status, Status]]:
    """The ways that its comment names."""
    comment = " ".join(line.removeprefix("--").strip() for line in statement.splitlines() if line.startswith("--"))
    ways = re.findall(r"(\w+(?: or \w+)*) -> (\w+(?: \| \w+)*)", comment)
    return {(Status(a), Status(b)) for froms, tos in ways for a in froms.split(" or ") for b in tos.split(" | ")}


def ways(statement: str, update: str) -> set[tuple[Status, Status]]:
    """The ways that a statement walks: what its SQL says, and its comment where the SQL leaves it to a value."""
    sources, targets = expected(update), written(update)
    if not targets:
        assert {source for source, _ in said(statement)} == sources
        return {(source, target) for source, target in said(statement) if source != target}
    walked = {(source, target) for source in sources for target in targets if source != target}
    assert said(statement) <= walked
    return walked


def walks() -> dict[str, set[tuple[Status, Status]]]:
    """By name of the statement: every statement that changes a message's status."""
    found = {}
    for file in SQL_FILES:
        for name, sql in queries.load(file).items():
            if update := moves(sql.decode()):
                found[f"{file}.{name}"] = ways(sql.decode(), update)
    return found


def test_the_statements_walk_exactly_these_ways() -> None:
    found = walks()
    assert {name: walked - set(TRANSITIONS) for name, walked in found.items() if walked - set(TRANSITIONS)} == {}
    assert set().union(*found.values()) == set(TRANSITIONS)


def test_no_statement_changes_a_status_unseen() -> None:
    """Each `SET status` of the ledger's messages is one that the test above has read."""
    for file in SQL_FILES:
        for name, sql in queries.load(file).items():
            statement = sql.decode()
            assert statement.count("SET status") == (moves(statement) is not None), name


@pytest.mark.parametrize("file", sorted(path.stem for path in SQL.glob("*.sql")))
def test_statements_ask_the_ledgers_clock(file: str) -> None:
    for name, statement in queries.load(file).items():
        assert not re.search(r"(?<![.\w])(now\(\)|current_timestamp)", statement.decode(), re.IGNORECASE), name
