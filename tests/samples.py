"""The sample payloads of each provider: one JSON file for each, under tests/conformance/payloads/<provider>/."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from providers.base import Message, Part
from tests.vendors import PROVIDERS, account_of, message_of

FOLDER = Path(__file__).parent / "conformance" / "payloads"


@dataclass(frozen=True)
class Sample:
    """One file under payloads/<provider>/."""

    provider: str
    name: str
    channel: str
    address: str
    payload: Mapping[str, Any]
    refused: str | None = None

    def message(self, number: int = 0) -> Message:
        return message_of(self.channel, self.payload, self.address, number=number)

    def part(self, number: int = 0) -> Part:
        return PROVIDERS[self.provider].render(self.message(number), account_of(self.provider))


def samples_of(provider: str) -> list[Sample]:
    """All samples of one provider, by name; none where it has no folder."""
    files = sorted((FOLDER / provider).glob("*.json"))
    return [Sample(provider, file.stem, **json.loads(file.read_text())) for file in files]


def message_for(provider: str, number: int = 0) -> Message:
    """A message that this provider takes."""
    return next(sample for sample in samples_of(provider) if sample.refused is None).message(number)
