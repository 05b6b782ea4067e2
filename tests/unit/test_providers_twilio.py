"""Twilio: the forms of messages and calls, their limits, and instructions that are XML whatever is said."""

import re
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.base import Account, Halted, Rejected
from providers.twilio.calls import TWIML_LIMIT
from providers.twilio.messages import BODY_LIMIT, MEDIA_LIMIT
from tests.vendors import PROVIDERS, account_of, message_of, settings_of

TO, FROM, SERVICE = "+14155550100", "+15005550006", "MG" + "b" * 32
MEDIA = "https://cdn.acme.io/a.png"
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def form(channel: str, payload: dict[str, Any], account: Account | None = None) -> list[tuple[str, str]]:
    """The form that a payload makes."""
    part = PROVIDERS["twilio"].render(message_of(channel, payload), account or account_of("twilio"))
    return parse_qsl(part.body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")


def twiml(**payload: Any) -> str:
    """The instructions of a call."""
    return dict(form("voice", payload))["Twiml"]


def refused(channel: str, **payload: Any) -> str:
    """The code with which a payload is refused."""
    with pytest.raises(Rejected) as error:
        form(channel, payload)
    return error.value.code


def test_a_text_message() -> None:
    assert form("sms", {"body": "Hi & bye = ü 👋\nEnd"}) == [
        ("To", TO),
        ("From", FROM),
        ("Body", "Hi & bye = ü 👋\nEnd"),
    ]


def test_a_messaging_service_sends_texts_and_calls_nobody() -> None:
    service = account_of("twilio", number=SERVICE)
    assert form("sms", {"body": "Hi"}, service) == [("To", TO), ("MessagingServiceSid", SERVICE), ("Body", "Hi")]
    with pytest.raises(Halted, match="a messaging service cannot call"):
        form("voice", {"say": "Hi"}, service)


def test_a_text_as_long_as_twilio_takes() -> None:
    assert ("Body", "ü" * BODY_LIMIT) in form("sms", {"body": "ü" * BODY_LIMIT})
    assert refused("sms", body="ü" * (BODY_LIMIT + 1)) == "body_too_long"


def test_media_up_to_the_limit_with_or_without_a_text() -> None:
    urls = [f"{MEDIA}?size={number}&x=1" for number in range(MEDIA_LIMIT)]
    assert form("sms", {"media_urls": urls})[2:] == [("MediaUrl", url) for url in urls]
    assert refused("sms", media_urls=[*urls, MEDIA]) == "too_many_media_urls"
    assert refused("sms", media_urls=[MEDIA, "http://cdn.acme.io/a.png"]) == "invalid_url"
    assert refused("sms", media_urls=MEDIA) == "invalid_media_urls"


@pytest.mark.parametrize("payload", [{}, {"body": ""}, {"body": " \n"}, {"body": None, "media_urls": []}])
def test_a_message_needs_text_or_media(payload: dict[str, Any]) -> None:
    assert refused("sms", **payload) == "missing_body"


# Whatever XML can carry. A lone surrogate never comes out of the database, and is taken out as the others are.
speech = st.text(st.characters(exclude_categories=[]), max_size=200)


@settings(deadline=None)
@given(speech)
@example("</Say><Dial>+15005550006</Dial><Say>")
@example("Tom & Jerry say \"1 < 2\" and '2 > 1' ]]> &amp; &#1;")
@example("\r\n \r \n \t")
@example("a\x00b\x0bc\x1fd\x7fe\x85f\u2028g\ufeffh\ufffei\uffffj\ud800k")
def test_what_is_said_is_what_an_xml_parser_hears(say: str) -> None:
    heard = NOT_IN_XML.sub(" ", say)
    if not heard.strip():
        assert refused("voice", say=say) == "missing_say"
        return
    response = ET.fromstring(twiml(say=say))
    assert [element.tag for element in response.iter()] == ["Response", "Say"]
    assert response[0].text == heard


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\"), max_size=60))
def test_what_is_played_is_what_an_xml_parser_reads(path: str) -> None:
    url = f"https://cdn.acme.io/{path}"
    assert ET.fromstring(twiml(audio_url=url))[0].text == url


@pytest.mark.parametrize(
    "audio_url", [7, "http://acme.io/a.mp3", "https://10.0.0.1/a.mp3", "https://acme.io/\x01", "https://acme.io/\ufffe"]
)
def test_what_is_played_is_public(audio_url: Any) -> None:
    assert refused("voice", audio_url=audio_url) == "invalid_url"


def test_instructions_are_as_long_as_twilio_takes_counted_as_xml() -> None:
    frame = len("<Response><Say></Say></Response>")
    assert len(twiml(say="x" * (TWIML_LIMIT - frame))) == TWIML_LIMIT
    assert refused("voice", say="x" * (TWIML_LIMIT - frame + 1)) == "say_too_long"
    assert refused("voice", say="&" * (TWIML_LIMIT // 5)) == "say_too_long"
    assert refused("voice", audio_url=MEDIA + "x" * TWIML_LIMIT) == "say_too_long"
    assert refused("voice", twiml="<Response>" + "x" * TWIML_LIMIT + "</Response>") == "twiml_too_long"


@pytest.mark.parametrize(
    "given_twiml",
    [
        "<Response/>",
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Say language="de-DE">Grüße</Say><Hangup/></Response>',
        "<Response><!-- greet --><Say><![CDATA[1 < 2]]></Say></Response>",
    ],
)
def test_instructions_of_the_callers_own_are_passed_on_as_they_stand(given_twiml: str) -> None:
    assert twiml(twiml=given_twiml, say="ignored", audio_url="ignored") == given_twiml


@pytest.mark.parametrize(
    "broken",
    [
        *("Hello", "<Say>Hello</Say>", "<Response>", "<Response></Say>", "<Response/><Response/>", " "),
        *("<Response>&nbsp;</Response>", "<Response>\x01</Response>", "<Response>\ud800</Response>", "<Response a=1/>"),
        '<!DOCTYPE Response [<!ENTITY a "aaaa">]><Response>&a;</Response>',
        '<!DOCTYPE Response SYSTEM "file:///etc/passwd"><Response/>',
    ],
)
def test_broken_instructions_never_reach_a_call(broken: str) -> None:
    assert refused("voice", twiml=broken) == "invalid_twiml"


@pytest.mark.parametrize("payload", [{}, {"say": ""}, {"say": " \n"}, {"twiml": "", "audio_url": "", "say": None}])
def test_a_call_needs_something_to_say(payload: dict[str, Any]) -> None:
    assert refused("voice", **payload) == "missing_say"


def test_a_path_is_of_the_account_whatever_its_sid_holds() -> None:
    provider = PROVIDERS["twilio"]
    row = {"twilio_account_sid": "AC1/../AC2?:x", "twilio_auth_token": "t:1", "twilio_phone_number": FROM}
    message = message_of("sms", {"body": "Hi"})
    account = provider.account_of_tenant(message.id, row, settings_of("twilio", {}))
    request = provider.request(b"", "Messages.json", [message.id], account, message.send_key)
    assert request.url == "https://api.twilio.com/2010-04-01/Accounts/AC1%2F..%2FAC2%3F%3Ax/Messages.json"
