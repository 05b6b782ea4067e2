"""Reads the form-encoded body of a create at Twilio against a table of its parameters.

Stricter than the vendor in one way: an unknown parameter is refused with 20001, not ignored, since it is always a
mistake of ours. Refuses to know any parameter: the tables stand with the resource that they belong to.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from simulator.addresses import is_web_address
from simulator.twilio_errors import refusal
from simulator.vendor import Exchange

MALFORMED = 20001


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a create: when a value is right, whether it may repeat, and the code where it is wrong."""

    fits: Callable[[str], bool]
    repeats: bool = False
    code: int = MALFORMED


class Form:
    """The parameters of one request; a parameter that is empty counts as absent, as at Twilio."""

    def __init__(self, exchange: Exchange, parameters: Mapping[str, Parameter]) -> None:
        """Read and check the body. Raises Refusal with the first mistake."""
        if exchange.request.content_type != "application/x-www-form-urlencoded":
            raise refusal(MALFORMED, "the body must be form-encoded")
        self._values: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(exchange.body.decode(), errors="strict")
        except UnicodeDecodeError:
            raise refusal(MALFORMED, "the body must be UTF-8") from None
        for name, value in pairs:
            self._take(name, value, parameters.get(name))

    def _take(self, name: str, value: str, parameter: Parameter | None) -> None:
        if parameter is None or (name in self._values and not parameter.repeats):
            raise refusal(MALFORMED, name)
        if not parameter.fits(value):
            raise refusal(parameter.code, name)
        self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def get(self, name: str) -> str | None:
        """Return the only value of a parameter, None where it is absent."""
        return self._values[name][0] if name in self._values else None

    def all(self, name: str) -> list[str]:
        """Return the values of a parameter that may repeat."""
        return self._values.get(name, [])


def anything(value: str) -> bool:
    """Fit every text."""
    return bool(value)


def whole(lowest: int, highest: int) -> Callable[[str], bool]:
    """Fit whole numbers between these two."""
    return lambda value: value.isdecimal() and lowest <= int(value) <= highest


def one_of(*choices: str) -> Callable[[str], bool]:
    """Fit these words."""
    return choices.__contains__


def sid(prefix: str) -> Callable[[str], bool]:
    """Fit Twilio's ids of one kind: two letters and 32 hex digits."""
    pattern = re.compile(rf"{prefix}[0-9a-fA-F]{{32}}")
    return lambda value: pattern.fullmatch(value) is not None


TEXT = Parameter(anything)
URL = Parameter(is_web_address)
BOOLEAN = Parameter(one_of("true", "false"))
METHOD = Parameter(one_of("GET", "POST"))
STATUS_CALLBACK = Parameter(is_web_address, code=21609)
