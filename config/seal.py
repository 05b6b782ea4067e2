"""Sealing of credentials at rest: AES-256-GCM, bound to the tenant they belong to.

A sealed value reads `v1.<key id>.<base64 of nonce and ciphertext>`. Key id and tenant id are associated data, so a
value copied to another tenant's row does not open. Refuses to guess: what carries the prefix but does not open is an
error, never a plain value.
"""

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PREFIX = "v1."
_KEY_ID = re.compile(r"[A-Za-z0-9]{1,32}")
"""Too short for a key: one that was put in the place of its id is not taken for an id and shown."""
_KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value does not open: unknown key id, another tenant's value, or damaged."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The encryption keys by id; the first one seals, all of them open."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read `id:base64,id:base64`, newest first. Raises ValueError with what is wrong, never with a key."""
        keys: dict[str, bytes] = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            key_id, _, encoded = entry.partition(":")
            if not _KEY_ID.fullmatch(key_id):
                raise ValueError("each key reads id:base64, its id of up to 32 ASCII letters and digits")
            if key_id in keys:
                raise ValueError(f"the key id {key_id!r} stands for two keys")
            try:
                keys[key_id] = base64.b64decode(encoded, validate=True)
            except ValueError:
                raise ValueError(f"the key {key_id!r} is not base64") from None
            if len(keys[key_id]) != _KEY_BYTES:
                raise ValueError(f"the key {key_id!r} has {len(keys[key_id])} bytes, AES-256 takes {_KEY_BYTES}")
        return cls(keys)

    def seal(self, plain: str, tenant_id: UUID) -> str:
        """Return `plain` sealed for one tenant under the newest key. Raises SealBroken where there is no key."""
        if not self.keys:
            raise SealBroken("FLEET_ENCRYPTION_KEYS is not set")
        key_id, key = next(iter(self.keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, plain.encode(), _associated(key_id, tenant_id))
        return f"{_PREFIX}{key_id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, value: str, tenant_id: UUID) -> str:
        """Return the plain text of `value`; a value that is not sealed (a legacy row) is returned as it stands.

        Raises SealBroken, which never shows the value.
        """
        if not value.startswith(_PREFIX):
            return value
        key_id, _, encoded = value.removeprefix(_PREFIX).partition(".")
        if not encoded or not _KEY_ID.fullmatch(key_id):
            raise SealBroken("the value begins as a sealed one and is none")
        if key_id not in self.keys:
            raise SealBroken(f"the key {key_id!r} is not in FLEET_ENCRYPTION_KEYS")
        try:
            raw = base64.b64decode(encoded, validate=True)
            plain = AESGCM(self.keys[key_id]).decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _associated(key_id, tenant_id)
            )
            return plain.decode()
        except (InvalidTag, ValueError):
            raise SealBroken("the value was sealed for another tenant or is damaged") from None


def _associated(key_id: str, tenant_id: UUID) -> bytes:
    return f"{key_id}.{tenant_id}".encode()
