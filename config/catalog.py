"""What every process must know of a provider without importing it: one line a provider.

The scheduler decides by these facts what an expired batch becomes, `fleet up` which vendors to simulate.
Owns no behaviour: how a vendor is spoken to lives in its module under `providers/`.
"""

from dataclasses import dataclass

from config.channels import CHANNELS, Channel

BUNDLE_SIZE_LIMIT = 100
"""The most messages in one bundle; 100 is also the most that any vendor's batch endpoint takes (Resend)."""


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """One vendor, as the rest of the fleet sees it."""

    name: str
    """As in `channel_outbox.provider`, in URLs and in docs/providers/; its module is `providers.<name>`."""
    channels: tuple[Channel, ...]
    key_variable: str
    """The environment variable whose presence means that real credentials are configured."""
    request_size: int = 1
    """Messages that travel in one request; 1 where the vendor has no batch endpoint."""
    key_seconds: float = 0.0
    """How long the vendor keeps our key from its first use, less a reserve for clocks, queues and a slow request; 0
    where it honours none. For so long the same bytes may be sent again."""
    askable: bool = True
    """Can the vendor list what it accepted?"""
    calls_back: bool = False
    """Does the vendor repeat a callback until it is taken? Of the others we ask what became of a message."""

    @property
    def idempotent(self) -> bool:
        """Does the vendor honour our key?"""
        return self.key_seconds > 0

    @property
    def url_variable(self) -> str:
        """The environment variable that points the provider at another address than the vendor's."""
        return f"{self.name.upper()}_API_URL"


CATALOG: dict[str, ProviderFacts] = {
    facts.name: facts
    for facts in (
        # 24 h less one: resend.com/docs/dashboard/emails/idempotency-keys
        ProviderFacts(
            "resend", (Channel.EMAIL,), "RESEND_API_KEY", request_size=100, key_seconds=23 * 3600.0, calls_back=True
        ),
        ProviderFacts("twilio", (Channel.SMS, Channel.VOICE), "TWILIO_AUTH_TOKEN"),
        ProviderFacts("vapi", (Channel.VOICE,), "VAPI_PRIVATE_KEY"),
    )
}


def polled_channels() -> list[Channel]:
    """Return the channels on which a vendor is asked what became of a message that it took."""
    silent = {channel for facts in CATALOG.values() if not facts.calls_back for channel in facts.channels}
    return [channel for channel in CHANNELS if channel in silent and CHANNELS[channel].polls]


def served_channels() -> frozenset[Channel]:
    """Return the channels that at least one provider of this version serves."""
    return frozenset(channel for facts in CATALOG.values() for channel in facts.channels)
