"""The names of accounts whose key is all that a request tells of them.

Refuses to keep a key: the name is made from it and reveals nothing of it.
"""

import hashlib
from functools import lru_cache


@lru_cache(maxsize=10_000)
def bearer_account(authorization: str) -> str | None:
    """Name the account of a bearer key: the first 12 hex digits of the key's SHA-256. None: no key or a revoked one."""
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key or key.startswith("revoked"):
        return None
    return hashlib.sha256(key.encode()).hexdigest()[:12]
