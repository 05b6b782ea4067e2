"""Addresses on the web: which belong to this machine, and which a customer may hand to a vendor."""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

from providers.base import Rejected

_LOCAL_NAMES = ("localhost", "localhost.localdomain")
_LOCAL_ENDINGS = (".localhost", ".localdomain", ".local", ".internal")
_PUBLIC_NAME = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*")
"""Its last label begins with a letter: 127.1 and 0x7f.1 are addresses to many clients."""


@lru_cache(maxsize=10_000)
def is_loopback(url: str) -> bool:
    """Tell whether `url` leads to this machine, as a stand-in for a vendor does."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES


def public_https(url: object, field: str) -> str:
    """Return `url` where it is https and public by its form. Raises Rejected, naming `field` of the payload."""
    host = _https_host(url) if isinstance(url, str) else None
    if not isinstance(url, str) or not host:
        raise Rejected("invalid_url", f"payload.{field} must be an https:// address in ASCII, without user or password")
    if not _is_public(host):
        raise Rejected("invalid_url", f"payload.{field} must be reachable from the internet")
    return url


def _https_host(url: str) -> str | None:
    """Return the host; None where the address is not https, or where two parsers might read two hosts."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return None
    return (parts.hostname or "").rstrip(".") if usable else None


def _is_public(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _PUBLIC_NAME.fullmatch(host) is not None and not host.endswith(_LOCAL_ENDINGS)
    return address.is_global and not address.is_multicast
