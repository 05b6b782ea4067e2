"""What is read from a payload: limits at the boundary, one line, and sentences that show nothing of what they judge."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalog import CATALOG
from providers import payload as reading
from providers.base import Halted, Message, Part, Rejected, SendError
from tests.vendors import PROVIDERS, account_of, message_of

MARK = "Zq9w"
LINE_BREAKS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]

FIELDS = (
    *("from", "subject", "html", "text", "cc", "bcc", "reply_to", "headers", "attachments", "tags"),
    *("body", "media_urls", "say", "audio_url", "twiml", "assistant_id", "first_message", "variables"),
)
INNER = ("name", "value", "filename", "content", "path", "content_type", "content_id", "X-Campaign", "Bcc")

# Every text carries the mark, so that a sentence which shows any of them shows the mark.
texts = st.text(max_size=30).map(lambda text: text + MARK) | st.sampled_from(["", " ", f"https://{MARK}.acme.io/a"])
values: st.SearchStrategy[Any] = st.recursive(
    texts | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=6,
)
payloads = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)
ROUTES = [(name, channel) for name, facts in CATALOG.items() for channel in facts.channels]


def rendered(name: str, message: Message) -> Part | SendError:
    try:
        return PROVIDERS[name].render(message, account_of(name))
    except (Rejected, Halted) as refused:
        return refused


@pytest.mark.parametrize(("name", "channel"), ROUTES)
@settings(deadline=None)
@given(payload=payloads)
def test_any_payload_is_rendered_or_refused_with_a_sentence_that_shows_none_of_it(
    name: str, channel: str, payload: dict[str, Any]
) -> None:
    message = message_of(channel, payload)
    judged = rendered(name, message)
    if isinstance(judged, Part):
        assert judged.body
        return
    assert "payload" in judged.reason
    assert " " in judged.reason
    assert MARK not in judged.reason + judged.code
    assert str(message.address) not in judged.reason


@pytest.mark.parametrize(
    ("read", "value", "code"),
    [
        (reading.text, None, "missing_subject"),
        (reading.text, "", "missing_subject"),
        (reading.text, " \n ", "missing_subject"),
        (reading.text, 7, "invalid_subject"),
        (reading.optional_text, ["Hello"], "invalid_subject"),
        (reading.one_line, "", "missing_subject"),
        (reading.mapping, [], "invalid_subject"),
        (reading.mapping, "", "invalid_subject"),
    ],
)
def test_what_is_no_text_or_no_object_is_refused(read: Callable[..., Any], value: Any, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        read({"subject": value}, "subject")
    assert refused.value.code == code
    assert refused.value.reason.startswith("payload.subject ")


def test_an_absent_field_is_none_or_empty() -> None:
    assert reading.optional_text({}, "html") is None
    assert reading.optional_text({"html": None}, "html") is None
    assert reading.mapping({}, "headers") == {}
    assert reading.objects({}, "tags", limit=1) == []


@settings(deadline=None)
@given(limit=st.integers(1, 40))
def test_a_limit_counts_what_may_be_sent(limit: int) -> None:
    assert reading.text({"body": "ü" * limit}, "body", limit=limit) == "ü" * limit
    with pytest.raises(Rejected, match=f"payload.body has {limit + 1} characters, at most {limit} can be sent"):
        reading.text({"body": "ü" * (limit + 1)}, "body", limit=limit)
    assert reading.objects({"tags": [1] * limit}, "tags", limit=limit) == [1] * limit
    with pytest.raises(Rejected, match=f"payload.tags has {limit + 1} entries, at most {limit} can be sent"):
        reading.objects({"tags": [1] * (limit + 1)}, "tags", limit=limit)


@pytest.mark.parametrize("break_", LINE_BREAKS, ids=ascii)
@settings(deadline=None)
@given(before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_header_is_one_line_wherever_it_breaks(break_: str, before: str, after: str) -> None:
    assert not reading.is_one_line(before + break_ + after)
    with pytest.raises(Rejected):
        reading.one_line({"subject": f"x{before}{break_}{after}"}, "subject")


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_a_text_without_a_break_is_one_line(text: str) -> None:
    assert reading.is_one_line(text)


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["\ud800", 2**64, -(2**63) - 1, nested(300)], ids=["surrogate", "big", "low", "deep"])
def test_what_json_cannot_carry_is_refused(value: Any) -> None:
    with pytest.raises(Rejected) as refused:
        reading.as_json({"variables": value})
    assert refused.value.code == "invalid_payload"


def test_what_a_form_cannot_carry_is_refused() -> None:
    assert reading.as_form([("To", "+1"), ("Body", "ü & =")]) == b"To=%2B1&Body=%C3%BC+%26+%3D"
    with pytest.raises(Rejected, match="broken characters"):
        reading.as_form([("Body", "\ud800")])
