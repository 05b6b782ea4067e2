"""How callbacks are signed: the Standard Webhooks scheme, and what every scheme needs.

Owns the arithmetic of signatures and the tolerance for clocks. Refuses to know whose secrets they are. Sources:
docs.svix.com/receiving/verifying-payloads/how-manual and standardwebhooks.com (the same scheme under other header
names: HMAC-SHA256 over `id.timestamp.body`, the key in base64 behind `whsec_`, several signatures while keys rotate).
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from providers.callbacks import BadSignature, Callback

TOLERANCE_SECONDS = 300
"""How far a sender's clock may be from ours, either way; also for how long a stolen callback can be sent again."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - the form of a secret, and none
KEY_BYTES = 16
"""Of a key at least: a shorter one can be guessed."""
TOKEN_CHARACTERS = 16
"""Of a secret that is a text of one's own choice at least: whoever guesses it speaks for the vendor."""
_MILLISECONDS_FROM = 10**11
"""A time from here on counts milliseconds: in seconds it would be in the year 5138."""


def verify_standard(callback: Callback, secrets: str, prefix: str, *, now: float) -> None:
    """Check a callback whose headers are `prefix`-id, -timestamp and -signature. Raises BadSignature.

    `secrets` are one or more, separated by white space: the old and the new one while they rotate.
    """
    id_, timestamp, signatures = (callback.headers.get(f"{prefix}-{name}", "") for name in _HEADERS)
    if not id_ or not id_.isascii():
        raise BadSignature(f"{prefix}-id is missing")
    check_clock(timestamp, now)
    given = [one.removeprefix("v1,") for one in signatures.split(" ") if one.startswith("v1,")]
    signed = f"{id_}.{timestamp}.".encode() + callback.body
    expected = [base64.b64encode(digest(key, signed)).decode() for key in standard_keys(secrets)]
    if not fits(given, expected):
        raise BadSignature(f"{prefix}-signature does not fit")


_HEADERS = ("id", "timestamp", "signature")


def standard_keys(secrets: str) -> list[bytes]:
    """Return the keys in the secrets, without those that are none: an empty key would let everybody sign."""
    keys = [_key(secret.removeprefix(SECRET_PREFIX)) for secret in secrets.split()]
    return [key for key in keys if len(key) >= KEY_BYTES]


def check_standard(secrets: str) -> None:
    """Check that each of the secrets is a key. Raises ValueError with how one is written, and without the secret."""
    if len(standard_keys(secrets)) != len(secrets.split()):
        raise ValueError(f"each secret is whsec_ and the base64 of at least {KEY_BYTES} bytes; one of them is not")


def check_tokens(secrets: str) -> None:
    """Check that none of the secrets can be guessed. Raises ValueError, without the secret."""
    if any(len(secret) < TOKEN_CHARACTERS for secret in secrets.split()):
        raise ValueError(f"each secret has at least {TOKEN_CHARACTERS} characters; one of them has fewer")


def _key(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        return b""


def check_clock(timestamp: str, now: float) -> None:
    """Check a sender's time, in seconds or milliseconds since the epoch. Raises BadSignature where it is too far."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise BadSignature("the signature has no time")
    seconds = int(timestamp) / 1000 if int(timestamp) >= _MILLISECONDS_FROM else int(timestamp)
    if abs(int(now) - seconds) > TOLERANCE_SECONDS:
        raise BadSignature("it was signed too long ago, or a clock is wrong")


def digest(key: bytes, signed: bytes) -> bytes:
    """Return the HMAC-SHA256."""
    return hmac.new(key, signed, hashlib.sha256).digest()


def fits(given: Sequence[str], expected: Sequence[str]) -> bool:
    """Tell whether one of the given texts is one of the expected. Takes the same time whichever does not fit."""
    pairs = [(_bytes(one), _bytes(other)) for one in given for other in expected]
    return sum(hmac.compare_digest(one, other) for one, other in pairs) > 0


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
