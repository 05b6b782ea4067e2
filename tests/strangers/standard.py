"""Callbacks of those who sign the raw body: Resend, Vapi, and a tenant's own gateways.

Owns how they are signed, and the oddities that only JSON has.
"""

import base64
import hashlib
import hmac
import random
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import orjson

from providers.vapi.callbacks import token
from tests.strangers.strange import CHARACTERS, NOBODY, Strange, text

SECRETS = {
    "resend": "whsec_" + base64.b64encode(b"resend" * 4).decode(),
    "vapi": "a-token-of-vapi-s-own",
    "generic": "whsec_" + base64.b64encode(b"generic" * 4).decode(),
}
GENERIC_TENANT = UUID(int=1)
_JUNK = {
    "resend": ("to", "from", "tags", "bounce", "failed", "suppressed", "subject", "created_at", "click"),
    "vapi": ("name", "customer", "assistant", "assistantOverrides", "phoneNumber", "phoneNumberId", "startedAt"),
    "generic": ("attempt_id", "occurred_at", "code", "reason", "address", "channel", "text", "surplus"),
}


def standard(chance: random.Random) -> Strange:
    """Return a valid callback, now and then with something odd in it."""
    provider = chance.choice(list(SECRETS))
    tenant = GENERIC_TENANT if provider == "generic" else NOBODY
    one = Strange(path=f"/webhooks/{provider}/{tenant}", tenant=tenant, sid=f"SM{chance.randbytes(16).hex()}")
    one.provider = provider
    one.headers = [(b"host", b"inside:8000"), (b"content-type", b"application/json")]
    said = _BODIES[provider](chance, one.sid)
    if chance.random() < 0.4:
        said[chance.choice(_JUNK[provider])] = junk(chance, 4)
        # What is odd may be refused by those who are strict; what is taken is stored.
        one.what, one.right = "junk", frozenset({204, 400})
    whole: Any = said
    if provider == "resend":
        whole = {"type": "email.delivered", "created_at": "2026-01-31T09:00:00Z", "data": said}
    elif provider == "vapi":
        whole = {"message": {"type": "status-update", "status": "in-progress", "call": said}}
    one.parts = [orjson.dumps(whole)]
    return sign(chance, one)


def of_a_call(chance: random.Random) -> Strange:
    """Return what Vapi says of a call that brought its token along, with that token or another, of it or of others."""
    attempt, other = uuid4(), str(uuid4())
    one = Strange(path=f"/webhooks/vapi/{NOBODY}", sid=f"call-{chance.randbytes(16).hex()}", provider="vapi")
    one.proof, one.query, one.what = b"x-vapi-secret", f"attempt={attempt}".encode(), "token"
    call = _vapi(chance, one.sid) | {"name": str(attempt)}
    one.headers = [(b"host", b"inside:8000"), (one.proof, token(SECRETS["vapi"], attempt).encode())]
    fate = chance.randrange(6)
    if fate == 0:
        one.put(one.proof, chance.choice((token("another", attempt).encode(), b"", b"\xff", b"A" * 100_000)))
        one.refused("another token", 401)
    elif fate == 1:
        one.query = chance.choice((b"", b"attempt=", b"attempt=x", b"attempt=%00", b"attempt=" + other.encode()))
        one.refused("token of another address", 401)
    elif fate == 2:
        call |= chance.choice(({"name": other}, {"name": None}, {"name": [1]}, {"type": "inboundPhoneCall"}))
        one.refused("token of another call", 400)
    body = orjson.dumps({"message": {"type": "status-update", "status": "in-progress", "call": call}})
    if fate == 3:
        one.put(one.proof, b"x")
        body = chance.choice((b"[" * 100_000, b'{"message":' * 40_000, body[:-1] + b"," * 900_000, b"\xff" * 900_000))
        one.refused("token of nobody", 401)
    one.parts = [body]
    return one


def sign(chance: random.Random, one: Strange, *, age_seconds: int = 0) -> Strange:
    """Sign what stands in `parts`."""
    now = str(int(time.time()) - age_seconds).encode()
    secret = SECRETS[one.provider]
    if one.provider == "vapi":
        one.proof = b"x-signature"
        one.put(b"x-timestamp", now)
        one.put(one.proof, hmac.new(secret.encode(), now + b"." + one.body, hashlib.sha256).hexdigest().encode())
        return one
    prefix = b"svix" if one.provider == "resend" else b"webhook"
    id_ = f"msg_{chance.randbytes(12).hex()}".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.new(key, b".".join((id_, now, one.body)), hashlib.sha256).digest()
    one.proof = prefix + b"-signature"
    for name, value in ((b"id", id_), (b"timestamp", now), (b"signature", b"v1," + base64.b64encode(made))):
        one.put(prefix + b"-" + name, value)
    return one


def junk(chance: random.Random, depth: int) -> Any:
    """Return any JSON."""
    plain: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: chance.choice((True, False, 0, -1, 2**63, -(2**63), 1e308, 1e-320, 0.1)),
        lambda: chance.choice(
            ("", "NaN", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", str(uuid4()), "x" * 9_000)
        ),
        lambda: text(chance, 300),
    )
    if depth == 0 or chance.random() < 0.5:
        return chance.choice(plain)()
    if chance.random() < 0.5:
        return [junk(chance, depth - 1) for _ in range(chance.randrange(4))]
    names = ("type", "number", "email", "message_id", "id", "", "\x00", "name", "metadata")
    return {chance.choice(names): junk(chance, depth - 1) for _ in range(chance.randrange(4))}


def _resend(_chance: random.Random, sid: str) -> dict[str, Any]:
    return {"email_id": sid, "to": ["delivered@resend.dev"], "from": "a@acme.io", "subject": "Hello"}


def _vapi(_chance: random.Random, sid: str) -> dict[str, Any]:
    return {"id": sid, "type": "outboundPhoneCall", "customer": {"number": "+14155550100"}}


def _generic(chance: random.Random, sid: str) -> dict[str, Any]:
    return {"id": chance.randbytes(9).hex(), "type": "delivered", "provider": "resend", "provider_message_id": sid}


_BODIES = {"resend": _resend, "vapi": _vapi, "generic": _generic}


def clock(chance: random.Random, one: Strange) -> None:
    """Signed, but not now."""
    sign(chance, one, age_seconds=chance.choice((400, -400, 10**9, 10**7)))
    one.refused("clock", 401)


def nonsense(chance: random.Random, one: Strange) -> None:
    """Signed, and nothing that is of any message."""
    bodies = (b"", b"[]", b"{}", b"1", b"null", b"[" * 100_000, b'{"a":' * 9_000, b"\xff", b'{"type":"\\ud800"}')
    one.parts = [chance.choice((*bodies, b'{"message":[]}', b'{"data":1,"type":"email.sent"}', CHARACTERS.encode()))]
    sign(chance, one).refused("nonsense", 204, 400)


def flipped(chance: random.Random, one: Strange) -> None:
    """One bit of the body."""
    body = bytearray(one.body)
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    one.parts = [bytes(body)]
    one.refused("flipped", 401)
