"""Cutting a migration file into statements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.migrate import files
from outbox.migrate.statements import split


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("-- only a comment;\n", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';';SELECT 2;", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s; fine';", ["SELECT 'it''s; fine'"]),
        ('SELECT "a;b";', ['SELECT "a;b"']),
        ("DO $$ BEGIN; END $$; SELECT 1;", ["DO $$ BEGIN; END $$", "SELECT 1"]),
        ("DO $a$ x $$ ; $$ y $a$;", ["DO $a$ x $$ ; $$ y $a$"]),
        ("/* one; two */ SELECT 1;", ["/* one; two */ SELECT 1"]),
        ("SELECT 1 -- a; b\n, 2;", ["SELECT 1 -- a; b\n, 2"]),
        ("SELECT 4 / 2 - 1;", ["SELECT 4 / 2 - 1"]),
    ],
)
def test_cases(text: str, statements: list[str]) -> None:
    assert split(text) == statements


@given(st.lists(st.sampled_from(["SELECT 1", "DO $$ a; b $$", "SELECT ';'", "-- x;\nSELECT 2", "SELECT $t$;$t$"])))
def test_what_was_joined_is_cut_again(statements: list[str]) -> None:
    assert split(";\n".join(statements)) == statements


def test_every_migration_has_statements_and_its_place() -> None:
    migrations = files.load()
    assert all(migration.statements for migration in migrations)
    assert [m.name.split("/")[1] for m in migrations] == sorted(m.name.split("/")[1] for m in migrations)
    assert {m.name.split("/")[0] for m in migrations} == {"platform", "fleet"}
