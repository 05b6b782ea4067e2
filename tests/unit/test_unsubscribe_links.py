"""Unsubscribe links: the same each time, opened by no other key, and not to be made, mended or turned by anybody."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.unsubscribe import PATH, Links, digest
from config.channels import Channel
from config.secret_keys import derived, parse
from outbox.unsubscribing import Recipient

OLD, NEW = "o" * 32, "n" * 32
URL = "https://fleet.acme.io/in"
LINKS = Links(URL, (OLD,))
ADA = Recipient(UUID(int=1), Channel.EMAIL, "Ada@mail.io", UUID(int=2))

recipients = st.builds(
    Recipient,
    st.uuids(),
    st.sampled_from(Channel),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=254),
    st.uuids(),
)


def token_of(links: Links, who: Recipient = ADA) -> str:
    url = links.url(who)
    assert url is not None
    assert url.startswith(URL + PATH)
    return url.removeprefix(URL + PATH)


@given(recipients)
def test_what_was_made_opens_again_and_is_the_same_each_time(who: Recipient) -> None:
    token = token_of(LINKS, who)
    assert LINKS.open(token) == who
    assert token == token_of(Links(URL, (OLD, NEW)), who)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert who.address not in token or len(who.address) < 8


@given(st.text())
def test_nothing_else_opens(token: str) -> None:
    assert LINKS.open(token) is None


@given(st.binary(max_size=120))
def test_no_other_bytes_open(sealed: bytes) -> None:
    from base64 import urlsafe_b64encode

    assert LINKS.open(urlsafe_b64encode(sealed).rstrip(b"=").decode()) is None


@given(recipients, st.data())
def test_a_changed_token_opens_nothing(who: Recipient, data: st.DataObject) -> None:
    """Also one that differs only in the bits that base64 leaves over, or in its padding."""
    token = token_of(LINKS, who)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_").filter(
            lambda character: character != token[at]
        )
    )
    assert LINKS.open(token[:at] + other + token[at + 1 :]) is None


@given(recipients, st.data())
def test_a_shorter_or_longer_token_opens_nothing(who: Recipient, data: st.DataObject) -> None:
    token = token_of(LINKS, who)
    assert LINKS.open(token[: data.draw(st.integers(0, len(token) - 1))]) is None
    assert LINKS.open(token + data.draw(st.text("A=-_ \n", min_size=1))) is None


@given(recipients, recipients, st.data())
def test_two_tokens_make_no_third(one: Recipient, other: Recipient, data: st.DataObject) -> None:
    """What is proven of one recipient goes with nothing of another."""
    first, second = token_of(LINKS, one), token_of(LINKS, other)
    at = data.draw(st.integers(1, min(len(first), len(second)) - 1))
    joined = first[:at] + second[at:]
    assert joined in (first, second) or LINKS.open(joined) is None


def test_every_key_opens_and_the_first_one_seals() -> None:
    both = Links(URL, (NEW, OLD))

    assert both.open(token_of(LINKS)) == ADA
    assert token_of(both) != token_of(LINKS)
    assert LINKS.open(token_of(both)) is None
    assert both.open(token_of(both)) == ADA
    assert Links(URL, (NEW,)).open(token_of(LINKS)) is None


def test_each_recipient_of_each_message_has_a_link_of_its_own() -> None:
    others = [
        ADA,
        Recipient(uuid4(), ADA.channel, ADA.address, ADA.message_id),
        Recipient(ADA.workspace_id, Channel.SMS, ADA.address, ADA.message_id),
        Recipient(ADA.workspace_id, ADA.channel, "Adb@mail.io", ADA.message_id),
        Recipient(ADA.workspace_id, ADA.channel, ADA.address, uuid4()),
    ]
    tokens = {token_of(LINKS, who) for who in others}
    assert len(tokens) == len({digest(token) for token in tokens}) == len(others)


def test_none_are_made_without_a_key_or_an_address_to_lead_to() -> None:
    assert Links(None, (OLD,)).url(ADA) is None
    assert Links(URL, ()).url(ADA) is None
    assert Links(URL, ()).open(token_of(LINKS)) is None


def test_the_longest_address_fits_into_a_line_of_a_mail() -> None:
    url = LINKS.url(Recipient(uuid4(), Channel.EMAIL, "x" * 64 + "@" + "y" * 186 + ".io", uuid4()))
    assert url is not None
    assert len(f"List-Unsubscribe: <{url}>") < 998


def test_keys_of_different_purposes_have_nothing_in_common() -> None:
    assert derived(OLD, b"one", 64) != derived(OLD, b"another", 64)


@pytest.mark.parametrize("text", [f"{NEW},{OLD}", f" {NEW}\n{OLD} ", f"{NEW} , {OLD},"])
def test_keys_are_separated_by_commas_or_white_space(text: str) -> None:
    assert parse(text) == (NEW, OLD)


@pytest.mark.parametrize("text", ["", " , ", "short", f"{NEW},short", "x" * 31])
def test_a_short_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="32 characters") as refused:
        parse(text)
    assert "short" not in str(refused.value)
