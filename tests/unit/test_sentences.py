"""What vendors write for people is short and names nobody, however long they write."""

import time
from collections.abc import Callable

import orjson
import pytest

from providers.answers import error_of
from providers.base import Response
from providers.callbacks import Callback
from providers.generic import Generic
from providers.resend import callbacks
from providers.sentences import SENTENCE_LIMIT, sentence

MEBIBYTE = 2**20


def of_generic(text: str) -> str | None:
    said = {"id": "1", "type": "failed", "provider": "twilio", "provider_message_id": "g", "reason": text}
    return Generic().parse(Callback("", {}, {}, orjson.dumps(said)))[0].reason


def of_resend(text: str) -> str | None:
    said = {"type": "email.bounced", "data": {"email_id": "e", "bounce": {"message": text}}}
    return callbacks.parse(Callback("", {}, {"svix-id": "1"}, orjson.dumps(said)))[0].reason


def of_an_answer(text: str) -> str | None:
    return error_of(Response(400, {}, b""), "bad", text, {}).reason


@pytest.mark.parametrize("reason", [of_generic, of_resend, of_an_answer])
@pytest.mark.parametrize("piece", ["://a:", "+1", "a.", "a@b ", "x"])
def test_a_mebibyte_of_a_reason_costs_no_more_than_a_sentence(reason: Callable[[str], str | None], piece: str) -> None:
    text = piece * (MEBIBYTE // len(piece))
    started = time.process_time()
    for _ in range(10):
        assert len(reason(text) or "") <= 2 * SENTENCE_LIMIT
    assert time.process_time() - started < 1
    assert reason("ada@mail.io is away") == "a…@mail.io is away"


@pytest.mark.parametrize("secret", ["ada.lovelace@mail.io", "+14155550100"])
@pytest.mark.parametrize("place", range(SENTENCE_LIMIT - 25, SENTENCE_LIMIT + 1))
def test_what_the_cut_goes_through_is_left_out(secret: str, place: int) -> None:
    said = sentence("x " * (place // 2) + secret + " and so on")
    assert not any(part in said for part in ("ada", "+1", "415", "love"))


def test_what_is_short_stays() -> None:
    assert sentence("no mailbox,  here") == "no mailbox,  here"
    assert sentence("x" * SENTENCE_LIMIT) == "x" * SENTENCE_LIMIT
    assert sentence("x" * (SENTENCE_LIMIT + 1)) == "…"
