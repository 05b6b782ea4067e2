"""How the late policy is written."""

import pytest

from config import late
from config.channels import Channel
from config.settings import SettingsError, load


def test_a_map_of_channels() -> None:
    assert late.parse("email=86400, sms = 0.5,") == {Channel.EMAIL: 86_400.0, Channel.SMS: 0.5}
    assert load({"FLEET_LATE_AFTER_SECONDS": "voice=7200"}).late_after_seconds == {Channel.VOICE: 7_200.0}
    assert load({}).late_after_seconds == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fax=1", "there is no channel 'fax'"),
        ("86400", "there is no channel '86400'"),
        ("email", "email needs a number of seconds above 0, not ''"),
        ("email=1 day", "email needs a number of seconds above 0, not '1 day'"),
        ("email=0", "above 0"),
        ("email=-5", "above 0"),
        ("email=inf", "above 0"),
        ("email=nan", "above 0"),
        ("email=1,email=2", "email stands twice"),
    ],
)
def test_what_cannot_be_read_is_an_error_at_the_start(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as unusable:
        load({"FLEET_LATE_AFTER_SECONDS": text})
    (problem,) = unusable.value.problems
    assert problem.startswith("FLEET_LATE_AFTER_SECONDS: ")
    assert said in problem
