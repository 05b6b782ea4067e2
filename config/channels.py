"""The channels a message can travel on, and what every process must agree on about each of them.

Refuses to know vendors: which provider serves a channel is in `config.catalog`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

JOBS_QUEUE = "jobs"
"""The queue of `job_queue` rows; it is no channel, but a worker serves it by the same command."""
EVENTS_QUEUE = "events"
"""The queue of stored events; no channel either."""


class Channel(StrEnum):
    """The values of `channel_outbox.channel`."""

    EMAIL = "email"
    SMS = "sms"
    VOICE = "voice"
    VOICE_VM = "voice_vm"
    LINKEDIN = "linkedin"
    LANDING_PAGE = "landing_page"


@dataclass(frozen=True, slots=True)
class Polls:
    """When a vendor that does not promise callbacks is asked what became of a message that it took."""

    patience_seconds: float
    """After the send: the first look. Until then a callback is likelier than news at the vendor."""
    horizon_seconds: float
    """After the send: the last look. What the vendor does not know by then it will not learn."""


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What holds for every message of one channel, whatever the vendor."""

    address: Literal["email", "phone", None]
    """Which recipient column carries the address; None where the payload alone says where it goes."""
    default_provider: str
    """The provider of a row whose `provider` is NULL."""
    retry_base_seconds: float
    """The first retry waits up to this long; each further one up to twice as long as the one before."""
    retry_cap_seconds: float
    max_attempts: int
    polls: Polls | None = None
    """None where there is nothing to wait for: its vendors call back until they are heard, or accepting is the end."""


_HOUR, _DAY = 3600.0, 86400.0

# Our own figures: carriers report on a text message within seconds or minutes, and one to a phone that is off for days
# has no other news afterwards.
_TEXTS = Polls(patience_seconds=_HOUR / 4, horizon_seconds=3 * _DAY)
# Most calls are over within five minutes, and none outlasts a day: Vapi allows 12 hours at most (its OpenAPI file,
# maxDurationSeconds).
_CALLS = Polls(patience_seconds=_HOUR / 12, horizon_seconds=_DAY)


# A call that failed is worth less with every minute and costs more with every try than a mail does.
CHANNELS: dict[Channel, ChannelFacts] = {
    Channel.EMAIL: ChannelFacts("email", "resend", 30.0, 3600.0, 6),
    Channel.SMS: ChannelFacts("phone", "twilio", 20.0, 1800.0, 5, _TEXTS),
    Channel.VOICE: ChannelFacts("phone", "vapi", 60.0, 1800.0, 3, _CALLS),
    Channel.VOICE_VM: ChannelFacts("phone", "twilio", 60.0, 1800.0, 3, _CALLS),
    Channel.LINKEDIN: ChannelFacts(None, "linkedin", 300.0, 21600.0, 4),
    Channel.LANDING_PAGE: ChannelFacts(None, "landing_page", 30.0, 1800.0, 5),
}


def actor_name(channel: Channel) -> str:
    """Name the Dramatiq actor that sends this channel's bundles: the whole contract between relay and workers."""
    return f"send_{channel.value}"


def replay_actor_name(channel: Channel) -> str:
    """Name the actor that replays a batch of this channel whose outcome nobody knows."""
    return f"replay_{channel.value}"


def look_up_actor_name(channel: Channel) -> str:
    """Name the actor that asks a vendor what became of messages of this channel."""
    return f"look_up_{channel.value}"


def poll_actor_name(channel: Channel) -> str:
    """Name the actor that asks vendors what became of messages of this channel that they took."""
    return f"poll_{channel.value}"


RUN_JOB_ACTOR = "run_job"
"""The actor that runs one job."""

APPLY_EVENTS_ACTOR = "apply_events"
"""The actor that applies a bundle of stored events."""

JOB_TYPES = frozenset({"cancel_messages", "recompute_metrics", "retry_messages"})
"""The values of `job_queue.job_type` that the fleet runs; `workers.job_types` has a function for each."""
