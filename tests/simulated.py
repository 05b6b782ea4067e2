"""The simulator over HTTP: order faults, read what it counted."""

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Simulated:
    """All vendors, at one address."""

    url: str

    def stats(self, path: str = "") -> Any:
        """What it counted."""
        with urllib.request.urlopen(f"{self.url}/stats{path}", timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def accepted(self) -> list[dict[str, Any]]:
        """Everything that it accepted."""
        with urllib.request.urlopen(f"{self.url}/stats/accepted", timeout=PATIENCE_SECONDS) as answer:
            return [json.loads(line) for line in answer if line.strip()]

    def fault(self, **order: Any) -> None:
        """Order a fault."""
        self._tell("POST", json.dumps(order).encode())

    def forget_faults(self) -> None:
        """From here the vendors work."""
        self._tell("DELETE", None)

    def _tell(self, method: str, body: bytes | None) -> None:
        request = urllib.request.Request(f"{self.url}/faults", data=body, method=method)
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()
