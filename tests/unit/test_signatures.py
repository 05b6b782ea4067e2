"""The Standard Webhooks scheme, under both of its names: what is believed, and that nothing else is."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import orjson
import pytest
import resend
from hypothesis import given
from hypothesis import strategies as st

from providers.base import Account
from providers.callbacks import BadSignature, Callback
from providers.generic import Generic
from providers.receivers import Receiver
from providers.signatures import TOLERANCE_SECONDS, standard_keys
from tests.vendors import PROVIDERS

NOW = 1_790_000_000
KEY, OTHER = b"0123456789abcdef01234567", b"another key of twenty-six b"
SECRET, OTHER_SECRET = (f"whsec_{base64.b64encode(key).decode()}" for key in (KEY, OTHER))
BODY = b'{"type":"email.sent"}'
DOORS: dict[str, tuple[Receiver, str]] = {"resend": (PROVIDERS["resend"], "svix"), "generic": (Generic(), "webhook")}
each_door = pytest.mark.parametrize("door", DOORS)


def signature(body: bytes = BODY, id_: str = "msg_1", timestamp: object = NOW, key: bytes = KEY) -> str:
    """The scheme by its definition, without our code."""
    signed = f"{id_}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def callback(
    door: str, signed: str, body: bytes = BODY, id_: str = "msg_1", timestamp: object = NOW, **others: str
) -> Callback:
    prefix = DOORS[door][1]
    headers = {f"{prefix}-id": id_, f"{prefix}-timestamp": str(timestamp), f"{prefix}-signature": signed, **others}
    return Callback("https://fleet.acme.io/webhooks/x/y", {}, headers, body)


def verify(door: str, one: Callback, secret: str = SECRET, now: float = NOW) -> None:
    credentials = {"webhook_secret": secret} if secret else {}
    DOORS[door][0].verify(one, Account(door, UUID(int=7), "", "", credentials), now=now)


def refused(door: str, one: Callback, secret: str = SECRET, now: float = NOW) -> None:
    with pytest.raises(BadSignature):
        verify(door, one, secret, now)


@each_door
@given(body=st.binary(max_size=100), id_=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_what_is_signed_is_believed(door: str, body: bytes, id_: str) -> None:
    verify(door, callback(door, signature(body, id_), body, id_))


def vendor_believes(one: Callback, secret: str = SECRET) -> bool:
    """Ask Resend's own library."""
    names = {"id": "svix-id", "timestamp": "svix-timestamp", "signature": "svix-signature"}
    headers: resend.WebhookHeaders = {name: one.headers[header] for name, header in names.items()}  # type: ignore[assignment]
    try:
        resend.Webhooks.verify({"payload": one.body.decode(), "headers": headers, "webhook_secret": secret})
    except ValueError:
        return False
    return True


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 9), max_size=3))
def test_resends_own_library_believes_what_we_sign_and_we_what_it_believes(said: dict[str, int]) -> None:
    body, now = orjson.dumps(said), int(time.time())
    true = callback("resend", signature(body, timestamp=now), body, timestamp=now)
    assert vendor_believes(true)
    verify("resend", true, now=time.time())
    forged = callback("resend", signature(body, timestamp=now, key=OTHER), body, timestamp=now)
    assert not vendor_believes(forged)
    refused("resend", forged, now=time.time())


def test_the_libraries_agree_on_the_tolerance() -> None:
    now = int(time.time())
    for age in (-TOLERANCE_SECONDS - 2, -TOLERANCE_SECONDS + 20, TOLERANCE_SECONDS - 20, TOLERANCE_SECONDS + 2):
        one = callback("resend", signature(timestamp=now - age), timestamp=now - age)
        if vendor_believes(one):
            verify("resend", one, now=now)
        else:
            refused("resend", one, now=now)


def _mutated(text: bytes, place: int, byte: int) -> bytes:
    place %= len(text)
    return text[:place] + bytes([byte]) + text[place + 1 :]


@each_door
@given(place=st.integers(0, 200), byte=st.integers(0, 255), part=st.sampled_from(["body", "id", "timestamp", "signed"]))
def test_every_change_of_one_byte_is_refused(door: str, place: int, byte: int, part: str) -> None:
    prefix = DOORS[door][1]
    true = callback(door, signature())
    names = {"id": f"{prefix}-id", "timestamp": f"{prefix}-timestamp", "signed": f"{prefix}-signature"}
    if part == "body":
        changed = replace(true, body=_mutated(true.body, place, byte))
    else:
        value = _mutated(true.headers[names[part]].encode(), place, byte).decode("latin-1")
        changed = replace(true, headers={**true.headers, names[part]: value})
    if changed != true:
        refused(door, changed)


@each_door
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [f"{prefix}-{name}" for prefix in ("svix", "webhook") for name in ("id", "timestamp", "signature")]
        ),
        st.text("v1,=. 7é٣\udcff", max_size=30) | st.just(str(NOW)) | st.just(signature()),
    ),
    body=st.binary(max_size=50),
)
def test_anything_else_is_refused_and_nothing_breaks(door: str, headers: dict[str, str], body: bytes) -> None:
    refused(door, Callback("", {}, headers, body))


@each_door
def test_several_signatures_and_several_secrets_while_they_rotate(door: str) -> None:
    both = f"{signature(key=OTHER)} {signature()}"
    verify(door, callback(door, both))
    verify(door, callback(door, f"v1a,x {signature()} v1,"))
    verify(door, callback(door, signature()), f"{OTHER_SECRET}\n{SECRET}")
    verify(door, callback(door, signature(key=OTHER)), f"{OTHER_SECRET} {SECRET}")
    refused(door, callback(door, signature(key=OTHER)))
    refused(door, callback(door, signature().replace("v1,", "v2,")))
    refused(door, callback(door, signature().removeprefix("v1,")))


@each_door
@pytest.mark.parametrize("secret", ["", " \n", "whsec_", "whsec_!!!", "whsec_YWJj", "no base64 at all"])
def test_without_a_usable_secret_the_door_is_shut(door: str, secret: str) -> None:
    assert standard_keys(secret) == []
    for key in (b"", b"abc", b"whsec_"):
        refused(door, callback(door, signature(key=key)), secret)


@each_door
@pytest.mark.parametrize("age", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_clocks_may_differ_a_little(door: str, age: int) -> None:
    one = callback(door, signature())
    verify(door, one, now=NOW + age + 0.9 * (age >= 0))
    beyond: Callable[[int], int] = lambda age: age + (1 if age >= 0 else -1) * (1 + TOLERANCE_SECONDS - abs(age))  # noqa: E731
    refused(door, one, now=NOW + beyond(age))


@each_door
@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1e9", "٣", "9" * 30, f" {NOW}", f"{NOW}.0"])
def test_a_time_that_is_none_is_refused(door: str, timestamp: str) -> None:
    refused(door, callback(door, signature(timestamp=timestamp), timestamp=timestamp))
