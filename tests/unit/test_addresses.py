"""One way to write an address."""

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from config.channels import Channel
from outbox.addresses import Allowed, NotAnAddress, normalise


@pytest.mark.parametrize(
    ("channel", "text", "expected"),
    [
        (Channel.EMAIL, " Ada@Example.ORG ", "Ada@example.org"),
        (Channel.EMAIL, "a+b@resend.dev", "a+b@resend.dev"),
        (Channel.EMAIL, "x@fleet.test", "x@fleet.test"),
        (Channel.SMS, "+1 (415) 555-0100", "+14155550100"),
        (Channel.VOICE, "+49 30 901820", "+4930901820"),
        (Channel.SMS, "+15005550006", "+15005550006"),
    ],
)
def test_normal_form(channel: Channel, text: str, expected: str) -> None:
    assert normalise(channel, text) == expected


@pytest.mark.parametrize("text", ["", "nobody", "a@", "@b.c", "a b@c.d", "a@b@c.d"])
def test_no_email_address(text: str) -> None:
    with pytest.raises(NotAnAddress, match="recipient_email"):
        normalise(Channel.EMAIL, text)


@pytest.mark.parametrize("text", ["", "12345", "call me", "+1", "+1415", "004915112345678", "+1415555010000000000"])
def test_no_number(text: str) -> None:
    with pytest.raises(NotAnAddress, match="recipient_phone"):
        normalise(Channel.SMS, text)


@given(st.text(max_size=60), st.sampled_from([Channel.EMAIL, Channel.SMS]))
def test_the_normal_form_is_its_own_normal_form_and_a_refusal_shows_nothing(text: str, channel: Channel) -> None:
    try:
        once = normalise(channel, text)
    except NotAnAddress as error:
        assert len(text) < 8 or text not in str(error)  # noqa: PT017
    else:
        assert normalise(channel, once) == once


@given(
    st.text("abzAZ09._+-'\u00fc ", max_size=70),
    st.one_of(
        st.text("abzAZ09.-\u00fc", max_size=70),
        st.sampled_from(["mail.DEV", "xn--bcher-kva.example", "a.test", "a.local"]),
    ),
)
@example("a" * 64, "a.dev")
@example("a" * 65, "a.dev")
@example("a", "x" * 63 + ".dev")
def test_what_is_plain_is_what_the_library_makes_of_it(local: str, host: str) -> None:
    try:
        expected = validate_email(
            f"{local}@{host}".strip(), check_deliverability=False, test_environment=True
        ).normalized
    except EmailNotValidError:
        with pytest.raises(NotAnAddress):
            normalise(Channel.EMAIL, f"{local}@{host}")
    else:
        assert normalise(Channel.EMAIL, f"{local}@{host}") == expected


def test_who_is_allowed() -> None:
    assert Allowed.parse(None).admits("anybody@where.dev")
    some = Allowed.parse("me@ours.dev, @team.dev,+1415")
    for address in ("me@ours.dev", "Me@Ours.dev", "any@team.dev", "+14155550100"):
        assert some.admits(address)
    for address in ("you@ours.dev", "any@notteam.dev", "+16285550100", "x@evil-team.dev"):
        assert not some.admits(address)
