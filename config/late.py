"""The late policy: after how long a message that could not go out is worth nothing any more, by channel.

Owns how it is written in the environment. Refuses a default: only whoever promises knows when a promise is stale.
"""

import math
from collections.abc import Mapping

from config.channels import Channel


def parse(text: str) -> Mapping[Channel, float]:
    """Read `email=86400,sms=14400`, seconds after the time at which a message was first due.

    Raises ValueError with a sentence.
    """
    found: dict[Channel, float] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = (part.strip() for part in entry.partition("="))
        if name not in set(Channel):
            raise ValueError(f"there is no channel {name!r}; write CHANNEL=SECONDS, the channel one of {_CHANNELS}")
        if Channel(name) in found:
            raise ValueError(f"{name} stands twice")
        found[Channel(name)] = _seconds(name, number)
    return found


_CHANNELS = ", ".join(Channel)


def _seconds(channel: str, number: str) -> float:
    try:
        seconds = float(number)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{channel} needs a number of seconds above 0, not {number!r}")
    return seconds
