"""Addresses on the web: which belong to this machine, and which a customer may hand to a vendor."""

import ipaddress
from urllib.parse import urlsplit

from providers.base import Rejected

_LOCAL_NAMES = ("localhost", "localhost.localdomain")
_LOCAL_ENDINGS = (".localhost", ".local", ".internal")


def is_loopback(url: str) -> bool:
    """Tell whether `url` leads to this machine, as a stand-in for a vendor does."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES


def public_https(url: object, field: str) -> str:
    """Return `url` where it is https and public by its form. Raises Rejected, naming `field` of the payload."""
    parts = urlsplit(url) if isinstance(url, str) else None
    host = (parts.hostname or "").rstrip(".").lower() if parts else ""
    if parts is None or parts.scheme != "https" or not host:
        raise Rejected("invalid_url", f"payload.{field} must be an https:// address")
    try:
        private = not ipaddress.ip_address(host).is_global
    except ValueError:
        private = host in _LOCAL_NAMES or host.endswith(_LOCAL_ENDINGS) or "." not in host
    if private:
        raise Rejected("invalid_url", f"payload.{field} must be reachable from the internet")
    return parts.geturl()
