"""What `fleet status` advises."""

from collections.abc import Mapping

import pytest

from config.channels import Channel
from console.cli import status
from outbox.overview import ChannelView, Overview


def advice(capsys: pytest.CaptureFixture[str], channels: Mapping[str, ChannelView]) -> list[str]:
    every = {channel.value: ChannelView() for channel in Channel}
    seen = Overview(
        {**every, **channels},
        holds=[],
        halted=[],
        strays=[],
        jobs={},
        job_workers=0,
        attempts={},
        events={},
        duplicates=0,
    )
    status._print_trouble(seen)
    return capsys.readouterr().err.splitlines()


def test_a_channel_that_waits_for_a_worker(capsys: pytest.CaptureFixture[str]) -> None:
    said = advice(capsys, {"email": ChannelView(due=1), "sms": ChannelView(due=1, workers=1)})
    assert said == ["no worker serves email: python -m workers email"]


def test_a_channel_that_no_provider_serves_is_given_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    said = advice(capsys, {"linkedin": ChannelView(held=1)})
    assert said == ["no provider of this version serves linkedin: its messages wait"]


@pytest.mark.parametrize(
    ("due", "per_minute", "says"),
    [(0, 600, ""), (100, 0, ""), (100, 600, "0:00:10"), (1, 600, "0:00:01"), (100_000, 60, "over 1 day, 3:46:40")],
)
def test_how_long_what_is_due_takes(due: int, per_minute: int, says: str) -> None:
    assert status._drained_in(due, per_minute) == says


def test_a_table_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "130")
    view = ChannelView(due=1_200, oldest_due_seconds=3, held=4, later=5, statuses={"sent": 7}, workers=2)
    status._print_channels(Overview({"sms": view}, [], [], [], {}, 0, {}, {}, 0), {"sms": 600})
    header, row = capsys.readouterr().out.splitlines()[:2]
    assert header.split() == [
        "channel",
        "due",
        "oldest",
        "a",
        "minute",
        "drained",
        "in",
        "held",
        "later",
        "under",
        "way",
        "unknown",
        "sent",
        "delivered",
        "failed",
        "workers",
    ]
    assert row.split() == ["sms", "1200", "3", "s", "600", "0:02:00", "4", "5", "0", "0", "7", "0", "0", "2"]
