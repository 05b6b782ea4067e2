"""Requests to the pages behind unsubscribe links: with tokens of ours and of nobody's, and whatever body.

Owns which answers are right. None of them is a callback, so none is looked for among what is stored of vendors.
"""

import random
from uuid import UUID

from admission.unsubscribe import PATH, Links
from config.channels import Channel
from outbox.unsubscribing import Recipient
from tests.strangers.strange import Strange, text

SECRET_KEY = "k" * 32
_LINKS = Links("", (SECRET_KEY,))
_FORM = b"application/x-www-form-urlencoded"
_BODIES = (b"List-Unsubscribe=One-Click", b"resubscribe=yes")
_PART = b"--b\r\nContent-Disposition: form-data; name*1*=q\r\nContent-Type: text/plain; charset*=q\r\n\r\nx\r\n--b--"
_TYPES = (
    b"",
    b"\xff",
    b"text/plain",
    b"multipart/form-data",
    b"multipart/form-data; boundary=b",
    b"multipart/form-data; boundary=b; charset*=q",
    b"multipart/form-data; boundary*0*=%; name*=x'y'%",
    _FORM + b"; charset=nonsense",
)


def unsubscribing(chance: random.Random) -> Strange:
    """Return a request to the page of one of a few recipients, or of nobody."""
    who = Recipient(UUID(int=chance.randrange(4)), Channel.EMAIL, "delivered@resend.dev", UUID(int=7))
    one = Strange(path=str(_LINKS.url(who)), provider="", proof=b"content-type")
    one.headers = [(b"host", b"inside:8000"), (b"content-type", _FORM)]
    one.method = chance.choice(("GET", "POST", "POST"))
    one.parts = [chance.choice(_BODIES)] if one.method == "POST" else []
    one.refused("unsubscribing", 200)
    chance.choice((_as_it_is, _forged, _odd_type, _odd_body, _too_long, _leaves))(chance, one)
    return one


def _as_it_is(_chance: random.Random, _one: Strange) -> None:
    pass


def _forged(chance: random.Random, one: Strange) -> None:
    token = one.path.removeprefix(PATH)
    place = chance.randrange(len(token))
    other = chance.choice((token[:place], token + token, token[:place] + "!" + token[place + 1 :], "é", "A" * 70_000))
    one.path = PATH + other
    one.refused("forged link", 404)


def _odd_type(chance: random.Random, one: Strange) -> None:
    one.put(b"content-type", chance.choice(_TYPES))
    one.refused("unsubscribing as what", 200, 400)


def _odd_body(chance: random.Random, one: Strange) -> None:
    _odd_type(chance, one)
    if one.method == "POST":
        made = text(chance, 500).encode()
        one.parts = [
            chance.choice(
                (b"", b"\xff", _PART, _PART * 9, b"--b\r\n" * 900, b"a=b&" * 2_000, chance.randbytes(500), made)
            )
        ]


def _too_long(_chance: random.Random, one: Strange) -> None:
    if one.method == "POST":
        one.parts = [b"x" * 8_193]
        one.refused("unsubscribing at length", 413)


def _leaves(_chance: random.Random, one: Strange) -> None:
    if one.method == "POST":
        one.leaves = True
        one.refused("leaves the page", 400)
