"""Statements by name."""

import pytest

from outbox import queries


def test_blocks_by_name() -> None:
    found = queries.load("presence")
    assert set(found) == {"announce", "leave", "present", "prune", "relay_awake", "relay_asleep", "retire", "serving"}
    assert found["leave"].startswith(b"DELETE FROM fleet.workers")


def test_a_name_that_stands_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    class Text:
        def joinpath(self, *_parts: str) -> "Text":
            return self

        def read_text(self, encoding: str) -> str:
            return "-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n"

    monkeypatch.setattr(queries, "files", lambda _package: Text())
    with pytest.raises(ValueError, match="twice"):
        queries.load("any")
