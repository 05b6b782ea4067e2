"""One request that a server might hand on, what is right for it, and whether it must be stored."""

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

NOBODY = UUID(int=0)
CHARACTERS = "aZ09 \x00\x07\n\r\t\x7f\xa0é€𝄞\u202e\ufeff%&=+;#?/\\'\"<>"


@dataclass
class Strange:
    """One request, and what is right for it."""

    method: str = "POST"
    path: str = ""
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    leaves: bool = False
    """The client leaves before its body is whole."""
    provider: str = "twilio"
    proof: bytes = b"x-twilio-signature"
    """The header that its signature is in."""
    tenant: UUID = NOBODY
    sid: str = ""
    right: frozenset[int] = frozenset({204})
    stored: bool = True
    """Where it is taken."""
    what: str = "valid"

    def scope(self) -> dict[str, Any]:
        """The request as a server hands it on."""
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "query_string": self.query,
            "headers": list(self.headers),
            "client": ("192.0.2.1", 4000),
            "server": ("127.0.0.1", 8000),
        }

    def messages(self) -> list[dict[str, Any]]:
        """The body as it comes in."""
        last = len(self.parts) - 1
        found: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": self.leaves or index < last}
            for index, part in enumerate(self.parts)
        ]
        if not found:
            found = [{"type": "http.request"}]
        return [*found, {"type": "http.disconnect"}]

    def refused(self, what: str, *right: int) -> "Strange":
        """Say that it must be refused, with one of these."""
        self.what, self.right, self.stored = what, frozenset(right), False
        return self

    def put(self, name: bytes, value: bytes) -> None:
        """Set one header."""
        self.headers = [(name, value), *((one, given) for one, given in self.headers if one != name)]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts)


def text(chance: random.Random, longest: int) -> str:
    """Return a text of unusual characters."""
    return "".join(chance.choices(CHARACTERS, k=chance.randrange(longest)))
