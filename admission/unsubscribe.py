"""Unsubscribe links: made by the worker that renders a mail, opened by the web process that they lead to.

Owns the token in the link. It is sealed (AES-SIV, RFC 5297, under a key drawn from FLEET_SECRET_KEY): nobody can read
it, make one, or turn one into another recipient's, and the same recipient of the same message always has the same one,
so that a mail renders to the same bytes each time. It carries all that is needed, so that it works after its message
is archived. Refuses to store anything: `outbox.unsubscribing` does.

One-click links are RFC 8058.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from config import secret_keys
from config.channels import Channel
from outbox.unsubscribing import Recipient

TOKEN_LIMIT = 1_000
"""Characters; that of the longest address has some 500."""
PATH = "/unsubscribe/"
_PURPOSE = b"delivery-fleet unsubscribe link 1"
_KEY_BYTES = 64
_UUID_BYTES = 16


class Links:
    """Makes and opens links under `keys`: the first one seals, all of them open.

    Without keys, or without a public address to lead to, none are made.
    """

    def __init__(self, public_url: str | None, keys: Sequence[str]) -> None:
        self._public_url = public_url
        self._seals = [AESSIV(secret_keys.derived(key, _PURPOSE, _KEY_BYTES)) for key in keys]

    def url(self, who: Recipient) -> str | None:
        """Return the link for this recipient; None where none can be made."""
        if not self._seals or self._public_url is None:
            return None
        plain = who.workspace_id.bytes + who.message_id.bytes + f"{who.channel} {who.address}".encode()
        token = urlsafe_b64encode(self._seals[0].encrypt(plain, None)).rstrip(b"=").decode()
        return f"{self._public_url}{PATH}{token}"

    def open(self, token: str) -> Recipient | None:
        """Return whom the token is for; None for whatever is not one that was made here, whole."""
        sealed = _bytes(token)
        for seal in self._seals if sealed else ():
            try:
                return _recipient(seal.decrypt(sealed, None))
            except InvalidTag:
                continue
        return None


def digest(token: str) -> str:
    """Return a name for a link that opens nothing."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def _bytes(token: str) -> bytes:
    """Return what a token stands for, nothing where it is none: each has one spelling only."""
    if len(token) > TOKEN_LIMIT:
        return b""
    try:
        sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (Error, ValueError):
        return b""
    return sealed if urlsafe_b64encode(sealed).rstrip(b"=").decode() == token else b""


def _recipient(plain: bytes) -> Recipient:
    ids = [UUID(bytes=plain[start : start + _UUID_BYTES]) for start in (0, _UUID_BYTES)]
    channel, _, address = plain[2 * _UUID_BYTES :].decode().partition(" ")
    return Recipient(ids[0], Channel(channel), address, ids[1])
