"""The forms that mail addresses, phone numbers and callback addresses must have, as the vendors check them.

Refuses to ask whether an address exists: that shows later, in an event.
"""

import re

_MOST_CHARACTERS = 254
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_MAIL = re.compile(rf"[^\s@<>()\[\],;:\\\"]{{1,64}}@(?:{_LABEL}\.)+{_LABEL}")
_NAMED = re.compile(r"[^<>]*<([^<>]+)>")
_E164 = re.compile(r"\+[1-9]\d{6,14}")
# The host without underscores, as Twilio asks of callback addresses.
_WEB = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?#]\S*)?|https?://\[[0-9a-f:]+\](?::\d{1,5})?(?:[/?#]\S*)?"
)


def bare_mail_address(text: str) -> str | None:
    """Return the address in `ada@acme.io` or `Ada <ada@acme.io>`; None where there is no valid one."""
    named = _NAMED.fullmatch(text)
    address = named[1].strip() if named else text
    return address if len(address) <= _MOST_CHARACTERS and _MAIL.fullmatch(address) else None


def is_e164(number: str) -> bool:
    """Tell whether this is a plus sign, a country code and 7 to 15 digits in all."""
    return _E164.fullmatch(number) is not None


def is_web_address(url: str) -> bool:
    """Tell whether this is an absolute http or https address whose host has no underscore."""
    return _WEB.fullmatch(url) is not None
