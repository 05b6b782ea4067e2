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


def test_how_long_what_is_due_takes(capsys: pytest.CaptureFixture[str]) -> None:
    channels = {"sms": ChannelView(due=100), "email": ChannelView(due=100_000), "voice": ChannelView()}
    seen = Overview(channels, [], [], [], {}, 0, {}, {}, 0)
    status._print_forecast(seen, {"sms": 600, "voice": 5})
    status._print_forecast(seen, {"email": 60})
    assert capsys.readouterr().err.splitlines() == [
        "sms: 600 in the last minute; what is due takes 0:00:10",
        "voice: 5 in the last minute",
        "email: 60 in the last minute; what is due takes over 1 day, 3:46:40",
    ]
