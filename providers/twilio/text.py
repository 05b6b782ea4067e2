"""A text as Twilio shows it: two texts that differ only by what Twilio may have changed have one digest.

Facts: twilio.com/docs/messaging/services/smart-encoding-char-list (typographic characters become plain ones),
twilio.com/docs/usage/tutorials/how-to-use-your-free-trial-account (the words in front of a trial account's texts).
"""

import unicodedata

from providers.records import text_digest

TRIAL_PREFIX = "Sent from your Twilio trial account - "

_PLAIN_OF = {
    '"': "\u00ab\u00bb\u02ba\u02ee\u201c\u201d\u201e\u201f\u275d\u275e\u301d\u301e",
    "'": "`\u00b4\u02b9\u02bb\u02bc\u02bd\u02c8\u02ca\u02cb\u2018\u2019\u201b\u2032\u275b\u275c",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212",
    "/": "\u00f7\u2044\u2215\u29f8",
    "*": "\u204e\u2217\u2022",
    ",": "\u201a",
}
_PLAIN = str.maketrans({fancy: plain for plain, many in _PLAIN_OF.items() for fancy in many})


def digest(text: str) -> str | None:
    """Return the digest of a text, ours or Twilio's; None where there is no text."""
    plain = unicodedata.normalize("NFKC", text.translate(_PLAIN)).translate(_PLAIN)
    shown = "".join(character for character in plain if unicodedata.category(character) != "Cf")
    return text_digest(shown.removeprefix(TRIAL_PREFIX))
