"""What vendors write for people: cut first, masked then, so that a text of a megabyte costs no more than a sentence.

Owns the length. Refuses meaning: a sentence decides nothing.
"""

from config.log import mask

SENTENCE_LIMIT = 1_000
"""Characters that are read of it; the ledger keeps half of them."""


def sentence(text: str) -> str:
    """Return a vendor's sentence without addresses and numbers; of a longer one the words that are there whole.

    Half an address has no @, and half a number may be too short for one: what the cut went through is left out.
    """
    if len(text) <= SENTENCE_LIMIT:
        return mask(text)
    whole = text[:SENTENCE_LIMIT].rsplit(maxsplit=1)[:-1]
    return mask(" ".join([*whole, "…"]))
