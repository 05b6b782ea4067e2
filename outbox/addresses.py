"""One way to write an address, so that two spellings of it are one recipient: for sending, suppressing, searching.

A mail keeps the capitals in front of the @, which its own server may tell apart (RFC 5321, section 2.4). Nobody who
opts out does: suppressions and searches compare addresses in lower case.

Refuses only what cannot be an address: whether it exists is the vendor's to say.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from config.channels import CHANNELS, Channel

_PLAIN = re.compile(r"([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@([A-Za-z0-9.-]+)")
"""A local part that the library takes as it is, whatever its host."""
_PLAIN_LONGEST = 64
"""Characters in front of the @ (RFC 5321, section 4.5.3.1), and in a host that leaves the whole below its own limit."""


class NotAnAddress(Exception):
    """The text cannot be an address of this kind; the message says why and shows none of it."""


def normalise(channel: Channel, text: str) -> str:
    """Return the address as the fleet writes it: E.164, or an email address with a lower-case host.

    Raises NotAnAddress.
    """
    return _email(text) if CHANNELS[channel].address == "email" else _phone(text)


@dataclass(frozen=True, slots=True)
class Allowed:
    """FLEET_ALLOWED_RECIPIENTS: who may be sent to from a copy of production. Empty allows everybody."""

    entries: tuple[str, ...]

    @classmethod
    def parse(cls, text: str | None) -> "Allowed":
        """Read addresses, @domains and the beginnings of numbers, separated by commas."""
        return cls(tuple(entry.strip().lower() for entry in (text or "").split(",") if entry.strip()))

    def admits(self, address: str) -> bool:
        """Tell whether a normalised address may be sent to."""
        address = address.lower()
        return not self.entries or any(
            address == entry
            or (entry[0] == "@" and address.endswith(entry))
            or (entry[0] == "+" and address.startswith(entry))
            for entry in self.entries
        )


def _email(text: str) -> str:
    text = text.strip()
    plain = _PLAIN.fullmatch(text)
    if plain and max(map(len, plain.groups())) <= _PLAIN_LONGEST:
        return f"{plain[1]}@{_host(plain[2])}"
    return _validated(text)


@lru_cache(maxsize=10_000)
def _host(host: str) -> str:
    """A mailing has few hosts, and the library spends most of its time on them."""
    return _validated(f"a@{host}").partition("@")[2]


def _validated(text: str) -> str:
    try:
        # test_environment: a stand-in's domains (.test, .invalid) are addresses as well
        return validate_email(text, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise NotAnAddress(f"recipient_email is no email address: {error}") from None


def _phone(text: str) -> str:
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        raise NotAnAddress("recipient_phone is no number in international form, such as +14155550100") from None
    if not phonenumbers.is_possible_number(number):
        raise NotAnAddress("recipient_phone has too few or too many digits for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
