"""Twilio's callbacks are believed only when signed: what its own library signs is, and nothing that differs from it."""

from contextlib import suppress
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from config.vocabulary import Kind
from providers.callbacks import BadSignature, Callback, Event, Malformed
from providers.twilio.signature import RETRIES
from simulator.twilio_callbacks import posting
from tests.twilio_requests import (
    BARE_URL,
    FORM,
    JSON,
    MESSAGE,
    TOKEN,
    URL,
    form_callback,
    json_callback,
    made,
    parse,
    verify,
)
from tests.vendors import PROVIDERS, account_of

SENT = {"MessageSid": "SM1", "MessageStatus": "sent", "To": "+14155550100", "Body": ""}
PREFIXED = URL.replace("acme.io/", "acme.io/fleet/")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
forms = st.dictionaries(texts.filter(bool), texts, min_size=1, max_size=8)
addresses = st.sampled_from([URL, BARE_URL, PREFIXED, URL.replace("https", "http")])
patient = settings(deadline=None)
visible = st.characters(min_codepoint=33, max_codepoint=126)


@patient
@given(forms, addresses)
def test_what_twilios_own_library_signs_is_believed(said: dict[str, str], url: str) -> None:
    verify(form_callback(said, url))
    verify(json_callback(orjson.dumps(said), url))


@patient
@given(forms, addresses, st.text(max_size=40))
def test_what_it_did_not_sign_is_not(said: dict[str, str], url: str, forged: str) -> None:
    with pytest.raises(BadSignature):
        verify(form_callback(said, url, signature=forged))
    true = form_callback(said, url)
    with pytest.raises(BadSignature):
        verify(replace(true, body=true.body + b"&MessageStatus=delivered"))
    with pytest.raises(BadSignature):
        verify(replace(form_callback(said), url=URL.replace(str(MESSAGE), str(uuid4()))))


def refused(one: Callback) -> bool:
    try:
        verify(one)
    except (BadSignature, Malformed):
        return True
    return False


@patient
@given(forms, addresses, st.data())
def test_one_other_character_of_the_address_or_the_signature_is_refused(
    said: dict[str, str], url: str, data: st.DataObject
) -> None:
    for true in (form_callback(said, url), json_callback(orjson.dumps(said), url)):
        signature = true.headers["x-twilio-signature"]
        other_url, other_signature = (data.draw(changed(text)) for text in (true.url, signature))
        content_type = true.headers["content-type"]
        assert refused(made(other_url, true.body, content_type, signature))
        assert refused(made(true.url, true.body, content_type, other_signature))


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """The text with one character replaced, left out or put in."""
    place, is_kept = draw(st.integers(0, len(text) - 1)), draw(st.booleans())
    other = text[:place] + draw(visible | st.just("")) + text[place + (not is_kept) :]
    assume(other != text)
    return other


@patient
@given(forms, addresses, st.data())
def test_one_other_byte_of_the_body_is_refused_or_says_the_same(
    said: dict[str, str], url: str, data: st.DataObject
) -> None:
    """Twilio signs what a form says, not how: `%2b` is as good as `%2B`. JSON is signed to the byte."""
    for true in (form_callback(said, url), json_callback(orjson.dumps(said), url)):
        place, byte = (
            data.draw(st.integers(0, len(true.body) - 1)),
            data.draw(st.binary(max_size=2) | st.sampled_from([b"", b"=", b"&"])),
        )
        body = true.body[:place] + byte + true.body[place + 1 :]
        other = replace(true, body=body)
        is_form = true.headers["content-type"] == FORM
        says_the_same = body == true.body or (is_form and fields(body) == fields(true.body))
        assert refused(other) != says_the_same


def fields(body: bytes) -> object:
    try:
        return sorted(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict"))
    except ValueError:
        return body


@pytest.mark.parametrize("url", [URL, PREFIXED, URL.replace("https", "http")], ids=["plain", "prefix", "http"])
def test_the_forms_of_our_address_that_twilio_may_sign(url: str) -> None:
    port = ":443" if url.startswith("https") else ":80"
    for signed in (url, url.replace("acme.io", f"acme.io{port}"), url + RETRIES):
        verify(form_callback(SENT, url, signed_url=signed))
    with_port = url.replace("acme.io", "acme.io:8443")
    verify(form_callback(SENT, with_port))
    verify(form_callback(SENT, with_port, signed_url=url))
    with pytest.raises(BadSignature):
        verify(form_callback(SENT, url, signed_url=with_port))


def test_a_field_whose_sign_is_taken_away_does_not_become_another() -> None:
    true = form_callback({"Body": "STOP", "From": "+14155550100"}, BARE_URL)
    for body in (true.body.replace(b"Body=", b"Body"), true.body.replace(b"=", b"", 2), true.body + b"&"):
        assert refused(replace(true, body=body))


@patient
@given(forms, addresses, st.sampled_from(["", ":443", ":80", ":8443"]))
def test_twilios_own_library_believes_what_we_believe(said: dict[str, str], url: str, port: str) -> None:
    address = url.replace("acme.io", f"acme.io{port}")
    one = form_callback(said, url, signed_url=address)
    believed = RequestValidator(TOKEN).validate(url, said, one.headers["x-twilio-signature"])
    assert believed is not refused(one)


def test_another_accounts_token_opens_nothing() -> None:
    with pytest.raises(BadSignature):
        PROVIDERS["twilio"].verify(form_callback(SENT), account_of("twilio", auth_token="another"), now=0.0)


def test_a_json_body_is_bound_by_its_digest() -> None:
    true = json_callback(orjson.dumps(SENT))
    verify(true)
    assert parse(true)[0].kind is Kind.ACCEPTED
    with pytest.raises(BadSignature):
        verify(replace(true, body=orjson.dumps({**SENT, "MessageStatus": "delivered"})))


@patient
@given(st.binary(max_size=200), st.sampled_from([FORM, JSON, "", "text/plain; \xff"]), st.text(max_size=30))
def test_any_bytes_are_refused_or_read_and_never_crash(body: bytes, content_type: str, url: str) -> None:
    for address in (URL, url):
        one = Callback(address, {}, {"content-type": content_type, "x-twilio-signature": url}, body)
        assert refused(one)
        with suppress(Malformed):
            assert all(isinstance(event, Event) for event in parse(one))


def test_the_simulator_signs_as_twilio_does() -> None:
    posted = posting(URL + RETRIES, SENT, TOKEN)
    assert (posted.url, dict(parse_qsl(posted.body.decode(), keep_blank_values=True))) == (URL, SENT)
    assert RequestValidator(TOKEN).validate(URL, SENT, posted.headers["X-Twilio-Signature"])
    assert urlsplit(posted.url).fragment == ""
