"""Refusals: what the vendor is told, and how seldom the log is."""

import asyncio
from typing import Any

import pytest
import structlog

from console import refusals
from console.refusals import Refusals, Refused

UNSIGNED = Refused(401, "wrong signature")


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger that was used before keeps the configuration of then, which nothing captures."""
    monkeypatch.setattr(refusals, "_log", structlog.get_logger())


def lines(logged: list[Any]) -> list[tuple[int, dict[str, int]]]:
    return [(line["count"], line["by_reason"]) for line in logged if line["event"] == "callbacks_refused"]


async def test_a_line_comes_at_once_and_the_next_counts() -> None:
    counter = Refusals(period_seconds=0.01)
    with structlog.testing.capture_logs() as logged:
        counter.note("twilio", UNSIGNED)
        for _ in range(1_000):
            counter.note("twilio", UNSIGNED)
        counter.note("unknown", Refused(404, "not found", "somebody's own words"))
        assert lines(logged) == [(1, {"twilio 401 wrong signature": 1})]
        while len(lines(logged)) < 2:
            await asyncio.sleep(0)
    assert lines(logged)[1:] == [(1_001, {"twilio 401 wrong signature": 1_000, "unknown 404 not found": 1})]


async def test_nothing_counted_is_lost_at_the_end() -> None:
    counter = Refusals(period_seconds=60)
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            counter.note("twilio", UNSIGNED)
        counter.close()
        counter.close()
    assert [count for count, _ in lines(logged)] == [1, 2]


def test_what_the_vendor_is_told() -> None:
    told = Refused(400, "malformed", "a lone \ud800").response()
    assert (told.status_code, told.body, "retry-after" in told.headers) == (400, b"a lone ?\n", False)
    assert Refused(503, "away", "try again").response().headers["retry-after"] == "5"
