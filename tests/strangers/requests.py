"""One request after another from a seed: what vendors would send, and what they never would.

Owns the judgement: each request says which answers are right, and whether it must be stored. Works on ASGI scopes,
which hold what a client library refuses to send.
"""

import hashlib
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID, uuid4

import orjson

from providers.twilio.message_statuses import STATUSES
from providers.twilio.signature import signature
from tests.strangers import standard
from tests.strangers.strange import NOBODY, Strange, text
from tests.strangers.unsubscribing import unsubscribing

PUBLIC_URL = "https://fleet.acme.io/in"
TOKENS = {NOBODY: "of the environment", UUID(int=1): "of one", UUID(int=2): "of another"}
BODY_LIMIT_BYTES = 1_048_576
FORM = b"application/x-www-form-urlencoded"


def strange(seed: int, index: int) -> Strange:
    """Return the request of this number; about one in four is valid, each in its own way."""
    chance = random.Random(f"{seed}:{index}")
    one = chance.choices((_form, _json, standard.standard, standard.of_a_call, unsubscribing), (10, 2, 6, 2, 2))[0](
        chance
    )
    if one.what not in ("valid", "junk"):
        pass  # it is odd in its own way already
    elif chance.random() < 0.3:
        _decorate(chance, one)
    elif chance.random() < 0.9:
        chance.choice(OF_TWILIO if one.provider == "twilio" else OF_OTHERS)(chance, one)
    one.parts = _cut(chance, one.body)
    return one


def signed(one: Strange, said: dict[str, str]) -> Strange:
    """Sign a form, or what stands in `parts` already."""
    if not one.parts:
        one.parts = [urlencode(said).encode()]
    url = PUBLIC_URL + one.path + (f"?{one.query.decode('latin-1')}" if one.query else "")
    text = "".join(name + value for name, value in sorted(said.items()))
    one.put(one.proof, signature(TOKENS[one.tenant], url, text))
    return one


def _form(chance: random.Random) -> Strange:
    one = _blank(chance, FORM)
    return signed(one, _said(chance, one))


def _json(chance: random.Random) -> Strange:
    one = _blank(chance, b"application/json")
    deep: Any = 1
    for _ in range(chance.choice((0, 3, 40, 100))):
        deep = [deep] if chance.random() < 0.5 else {"": deep}
    one.parts = [orjson.dumps({**_said(chance, one), "deep": deep, "wide": list(range(chance.randrange(50)))})]
    one.query += (b"&" if one.query else b"") + b"bodySHA256=" + hashlib.sha256(one.body).hexdigest().encode()
    return signed(one, {})


def _blank(chance: random.Random, content_type: bytes) -> Strange:
    tenant = chance.choice(list(TOKENS))
    query = f"attempt={uuid4()}&message={uuid4()}".encode() if chance.random() < 0.7 else b""
    one = Strange(path=f"/webhooks/twilio/{tenant}", query=query, tenant=tenant, sid=f"SM{chance.randbytes(16).hex()}")
    one.headers = [(b"host", b"inside:8000"), (b"content-type", content_type), (b"user-agent", b"TwilioProxy/1.1")]
    return one


def _said(chance: random.Random, one: Strange) -> dict[str, str]:
    status = chance.choice(list(STATUSES)) if chance.random() < 0.9 else "teleported"
    one.stored = status in STATUSES
    said = {"MessageSid": one.sid, "MessageStatus": status, "To": "+14155550100"}
    if chance.random() < 0.3:
        said["ErrorMessage"] = text(chance, 2_000)
    return said | {f"Other{index}": text(chance, 200) for index in range(chance.randrange(6))}


def _cut(chance: random.Random, body: bytes) -> list[bytes]:
    """Let a body come in pieces, some of them empty."""
    ends = sorted(chance.randrange(len(body) + 1) for _ in range(chance.choice((0, 0, 1, 4))))
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


def _decorate(chance: random.Random, one: Strange) -> None:
    """Add what a valid request may carry and nobody should mind."""
    one.what = "decorated"
    one.headers += [
        (b"x-" + chance.randbytes(5), chance.randbytes(chance.choice((0, 9, 70_000)))),
        (b"content-length", chance.choice((b"", b"abc", b"-1", b"1e9", b"0", "²".encode()))),
        (one.proof, b"the first one counts"),
        (b"transfer-encoding", b"chunked"),
        (b"cookie", chance.randbytes(40)),
        (b"host", b"[::1"),
    ][: chance.randrange(1, 7)]
    if chance.random() < 0.5:
        one.put(b"host", chance.choice((b"", b"[", b"\xff\xfe", b"a" * 9_000, b"x:y", b"\x00")))


def _method(chance: random.Random, one: Strange) -> None:
    one.method = chance.choice(
        ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "", "post", "P\x00")
    )
    one.refused("method", 405)


def _path(chance: random.Random, one: Strange) -> None:
    ends = ("", "/", "/x", "//", "\x00", "\n", "%00", "/..", "\ud800", "é" * 500, "?", "#", "a" * 70_000)
    starts = ("/webhooks/", "/webhooks/pigeon", "//webhooks/twilio", "/webhooks/twilio/..", "/webhooks/resend/\ud83d")
    if chance.random() < 0.5:
        one.path += chance.choice(ends[1:])
    else:
        one.path = chance.choice(starts) + chance.choice(ends)
    one.refused("path", 404)


def _nobody(chance: random.Random, one: Strange) -> None:
    tenant = UUID(bytes=chance.randbytes(16))
    name = chance.choice(("twilio", "twilio", "pigeon", "TWILIO", "resend\x00", "\udfff"))
    one.path = f"/webhooks/{name}/{tenant}"
    one.refused("nobody", 404)


def _query(chance: random.Random, one: Strange) -> None:
    junk = chance.choice((b"&x", b"&attempt=", b"%", b"\xff\x00", b"&" * 3_000, b"message=%ff", "&é=𝄞".encode()))
    one.query = one.query + junk if chance.random() < 0.7 else chance.randbytes(30)
    one.refused("query", 401)


def _long_query(_chance: random.Random, one: Strange) -> None:
    one.query += b"&" + b"a=b&" * 20_000
    one.refused("long query", 400)


def _marks(chance: random.Random, one: Strange) -> None:
    """Signed, and our own marks in the address are none."""
    value = chance.choice((b"", b"x", b"%00", b"\xff", b"1" * 99, b"{" + b"0" * 31))
    one.query = chance.choice((b"attempt=", b"message=")) + value
    one.parts = []
    one.put(b"content-type", FORM)
    signed(one, {"MessageSid": one.sid, "MessageStatus": "sent"}).refused("marks", 400)


def _signature(chance: random.Random, one: Strange) -> None:
    given = bytearray(dict(one.headers)[one.proof])
    where = chance.randrange(len(given))
    given[where] = (given[where] + chance.randrange(1, 256)) % 256
    forged = (bytes(given), b"", b"\xff" * 28, b"A" * 28, b"A" * 100_000, chance.randbytes(28), "é".encode() * 14)
    one.put(one.proof, chance.choice(forged))
    one.refused("signature", 401)


def _unsigned(_chance: random.Random, one: Strange) -> None:
    one.headers = [(name, value) for name, value in one.headers if name != one.proof]
    one.refused("unsigned", 401)


def _another_tenant(chance: random.Random, one: Strange) -> None:
    one.path = f"/webhooks/twilio/{chance.choice([tenant for tenant in TOKENS if tenant != one.tenant])}"
    one.refused("another tenant", 401)


def _flipped(chance: random.Random, one: Strange) -> None:
    """One bit of the body; what decodes to the same is still signed."""
    body = bytearray(one.body)
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    same = _fields(bytes(body)) == _fields(one.body) and not _is_json(one)
    one.parts = [bytes(body)]
    if not same:
        one.refused("flipped", 400, 401)


def _is_json(one: Strange) -> bool:
    return dict(one.headers)[b"content-type"].partition(b";")[0].strip().lower() == b"application/json"


def _fields(body: bytes) -> object:
    try:
        return sorted(set(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")))
    except ValueError:
        return body


def _garbage(chance: random.Random, one: Strange) -> None:
    bodies: tuple[Callable[[], bytes], ...] = (
        lambda: b"",
        lambda: chance.randbytes(chance.randrange(2_000)),
        lambda: b"[" * 100_000,
        lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        lambda: b"a=%ff&b=\xed\xa0\x80",
        lambda: b"&".join(b"f%d=x" % index for index in range(10_000)),
        lambda: b"a=" + b"%41" * 300_000,
        lambda: b'{"a":"\\ud800","b":1e999,"c":NaN}',
        lambda: one.body[: chance.randrange(len(one.body))],
    )
    one.parts = [chance.choice(bodies)()]
    one.refused("garbage", 400, 401)


def _signed_garbage(chance: random.Random, one: Strange) -> None:
    """Signed as JSON is, and no callback."""
    one.parts = [
        chance.choice(
            (b"", b"[]", b"1", b"null", b"{}", b"[" * 100_000, b'{"a":' * 9_000, b"\xff", b'{"MessageSid":"\\ud800"}')
        )
    ]
    one.put(b"content-type", b"application/json; charset=nonsense")
    one.query = b"bodySHA256=" + hashlib.sha256(one.body).hexdigest().encode()
    signed(one, {}).refused("signed garbage", 400)


def _many_fields(chance: random.Random, one: Strange) -> None:
    said = {f"f{index}": "x" for index in range(chance.randrange(201, 2_000))}
    one.parts = []
    one.put(b"content-type", FORM)
    signed(one, said).refused("many fields", 400)


def _content_type(chance: random.Random, one: Strange) -> None:
    types = (b"application/json", b"Application/JSON ;x", b"text/xml", b"multipart/form-data; boundary=x", b"\xff", b"")
    was_json = _is_json(one)
    one.put(b"content-type", chance.choice(types))
    if _is_json(one) != was_json:
        one.refused("content type", 400, 401)


def _too_long(chance: random.Random, one: Strange) -> None:
    one.parts = [b"x" * (BODY_LIMIT_BYTES + chance.choice((1, 99_999)))]
    one.refused("too long", 413)


def _too_long_by_its_own_word(chance: random.Random, one: Strange) -> None:
    one.put(b"content-length", chance.choice((b"1048577", b"9" * 30, b"9" * 5_000)))
    one.refused("too long by its own word", 413)


def _leaves(_chance: random.Random, one: Strange) -> None:
    one.leaves = True
    one.refused("leaves", 400)


_Mutation = Callable[[random.Random, Strange], None]
_SELDOM = (_too_long, _long_query)
_OFTEN = (_method, _path, _nobody, _signature, _unsigned, _garbage, _too_long_by_its_own_word, _leaves)
_TWILIO = (_query, _marks, _another_tenant, _flipped, _signed_garbage, _many_fields, _content_type)
OF_TWILIO: tuple[_Mutation, ...] = (*(*_OFTEN, *_TWILIO) * 4, *_SELDOM)
OF_OTHERS: tuple[_Mutation, ...] = (*(*_OFTEN, standard.clock, standard.nonsense, standard.flipped) * 4, *_SELDOM)
