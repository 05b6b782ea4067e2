"""FLEET_SECRET_KEY: what the fleet proves its own words by, such as the links that it puts into mails.

Owns how the variable reads and what a key is drawn from it for. Credentials at rest have keys of their own
(`config.seal`): these here may be changed without anything that is stored becoming unreadable.
"""

import re

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SHORTEST = 32
"""Characters: `openssl rand -base64 32` gives 44."""


def parse(text: str) -> tuple[str, ...]:
    """Read keys separated by commas or white space, the newest first. Raises ValueError, which shows none of them."""
    keys = tuple(filter(None, re.split(r"[,\s]+", text)))
    if not keys or any(len(key) < SHORTEST for key in keys):
        raise ValueError(f"a key has {SHORTEST} characters or more; make one with: openssl rand -base64 32")
    return keys


def derived(key: str, purpose: bytes, length_bytes: int) -> bytes:
    """Return the key for one purpose: what is sealed for one cannot be opened, nor forged, by that of another."""
    return HKDF(SHA256(), length_bytes, salt=None, info=purpose).derive(key.encode())
