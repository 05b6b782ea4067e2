"""How callbacks write addresses, as far as a provider may judge them.

Owns the two forms under which the ledger finds a person: a number in E.164, and a bare mail address in lower case.
Refuses to mend what is written otherwise, because a guess would suppress somebody else.
"""

import re

from config.channels import CHANNELS, Channel

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
MAIL_LIMIT = 254
"""Characters of a mail address (RFC 5321, section 4.5.3.1.3, less the brackets)."""
_MAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[\w-]+(?:\.[\w-]+)*")


def number(text: str) -> str | None:
    """Return a phone number in E.164; None where it is redacted (+1415555XXXX), or no number."""
    text = text.strip()
    return text if _E164.fullmatch(text) else None


def mail(text: str) -> str | None:
    """Return a bare mail address in lower case; None where it is none, or has a name beside it."""
    text = text.strip()
    return text.lower() if len(text) <= MAIL_LIMIT and text.isprintable() and _MAIL.fullmatch(text) else None


def of_channel(channel: Channel, text: str) -> str | None:
    """Return the address of a person on a channel; None where it is none there."""
    return {"email": mail, "phone": number}.get(CHANNELS[channel].address or "", _none)(text)


def _none(_text: str) -> None:
    """There are channels on which nobody has an address."""
