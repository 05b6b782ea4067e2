"""The simulator's rules meet whatever is thrown at them with a vendor's refusal, never with a failure of their own."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.addresses import bare_mail_address, is_e164, is_web_address
from simulator.app import create_app
from simulator.content import marks_of, without_attempt
from simulator.ratelimit import Buckets, Limit
from simulator.resend_rules import check_mail
from simulator.vapi_rules import check_call
from simulator.vendor import Refusal

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["ada@mail.io", "+14155550100"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MAIL_KEYS = ("from", "to", "subject", "html", "cc", "template", "headers", "attachments", "tags", "scheduled_at")
CALL_KEYS = ("name", "assistantId", "assistant", "phoneNumberId", "customer", "schedulePlan", "assistantOverrides")
CUSTOMER = st.dictionaries(st.sampled_from(["number", "name", "sipUri", "numberE164CheckEnabled"]), ANYTHING)


def status_of(check: Callable[[], None]) -> int:
    try:
        check()
    except Refusal as refusal:
        return refusal.status
    return 200


@given(mail=st.dictionaries(st.sampled_from(MAIL_KEYS), ANYTHING) | ANYTHING, in_batch=st.booleans())
@settings(deadline=None)
def test_any_mail_is_right_or_refused(mail: Any, in_batch: bool) -> None:
    assert status_of(lambda: check_mail(mail, in_batch=in_batch)) in (200, 403, 422)


@given(call=st.dictionaries(st.sampled_from(CALL_KEYS), ANYTHING | CUSTOMER) | ANYTHING)
@settings(deadline=None)
def test_any_call_is_right_or_refused(call: Any) -> None:
    assert status_of(lambda: check_call(call)) in (200, 400, 402)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@acme.io", "ada@acme.io"),
        ("Ada Lovelace <ada+x@mail.acme.io>", "ada+x@mail.acme.io"),
        ("<ada@acme.io>", "ada@acme.io"),
        ("ada@bücher.example", "ada@bücher.example"),
        ("o'brien@acme.io", "o'brien@acme.io"),
        ("ada@acme", None),
        ("ada acme.io", None),
        ("ada@@acme.io", None),
        ("ada@-acme.io", None),
        ("ada@acme..io", None),
        ("Ada <ada@acme.io", None),
        ("ada@acme.io, carl@acme.io", None),
        ("a" * 65 + "@acme.io", None),
        ("", None),
    ],
)
def test_mail_addresses(text: str, address: str | None) -> None:
    assert bare_mail_address(text) == address


@pytest.mark.parametrize(
    ("number", "valid"),
    [("+14155550100", True), ("+4930123456", True), ("14155550100", False), ("+04155550100", False), ("+1415", False)],
)
def test_numbers(number: str, valid: bool) -> None:
    assert is_e164(number) is valid


@pytest.mark.parametrize(
    ("url", "valid"),
    [
        ("https://fleet.acme.io/webhooks?attempt=1#rc=5", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://[::1]:8000/x", True),
        ("ftp://acme.io/", False),
        ("https://a_b.io/", False),
        ("https://acme.io/a b", False),
        ("acme.io", False),
    ],
)
def test_callback_addresses(url: str, valid: bool) -> None:
    assert is_web_address(url) is valid


def test_the_marks_of_a_callback_are_read_and_its_attempt_taken_away() -> None:
    assert marks_of("https://acme.io/?a=1&attempt=x&message=y#rc=5") == {"attempt": "x", "message": "y"}
    assert marks_of("https://acme.io/") == marks_of(None) == {"attempt": None, "message": None}
    assert without_attempt("https://acme.io/?a=1&attempt=x") == "https://acme.io/?a=1"
    assert without_attempt("https://acme.io/?a=1") == "https://acme.io/?a=1"


def test_a_bucket_fills_with_time_and_never_over_its_burst() -> None:
    now = [0.0]
    buckets = Buckets(Limit(2.0, 3), clock=lambda: now[0])
    assert [buckets.take("a").allowed for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b").remaining == 2
    refused = buckets.take("a")
    assert (refused.retry_after_seconds, refused.reset_seconds) == (1, 2)
    now[0] += 0.5
    assert [buckets.take("a").allowed for _ in range(2)] == [True, False]
    now[0] += 60
    assert buckets.take("a").remaining == 2


@pytest.mark.parametrize(("text", "limit"), [("5", Limit(5.0, 5)), ("0.5", Limit(0.5, 1)), ("10:40", Limit(10.0, 40))])
def test_a_limit_is_read(text: str, limit: Limit) -> None:
    assert Limit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "5:0", "5:x"])
def test_a_limit_that_limits_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Limit.parse(text)


async def test_no_vendor_has_other_paths() -> None:
    async with TestClient(TestServer(create_app())) as client, client.get("/domains") as response:
        assert isinstance(client.app, web.Application)
        assert response.status == 404
