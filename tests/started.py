"""Messages brought to `sending` the way workers do it, for tests of what comes after."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from config.channels import Channel
from config.database import Pool
from outbox import claims, presence, starts
from outbox.presence import Presence
from outbox.settlements import Settlement
from outbox.starts import Batch, Candidate
from outbox.states import Status

LEASE_SECONDS = 60.0
ACCOUNT = "fingerprint"


@dataclass(frozen=True)
class Started:
    """One batch in flight."""

    send_key: UUID
    lease: UUID
    ids: Sequence[UUID]

    def settlement(self, id_: UUID, status: Status = Status.SENT, **columns: object) -> Settlement:
        """What the worker would write for one member."""
        outcomes = {Status.SENT: "accepted", Status.FAILED: "rejected", Status.UNKNOWN: "unknown"}
        values: dict[str, object] = {
            "outcome": outcomes.get(status, "later"),
            "provider": "resend",
            "account": ACCOUNT,
            "account_tenant_id": UUID(int=0),
            "provider_message_id": f"vendor-{id_}" if status is Status.SENT else None,
            **columns,
        }
        return Settlement(id=id_, send_key=self.send_key, lease=self.lease, status=status, **values)  # type: ignore[arg-type]


async def claimed(
    pool: Pool, channel: Channel = Channel.EMAIL, lease_seconds: float = LEASE_SECONDS
) -> tuple[UUID, list[str]]:
    """Claim everything that is due on a channel: (token, ids)."""
    token = uuid4()
    taken = await claims.claim(pool, channel, limit=1000, token=token, lease_seconds=lease_seconds)
    return token, [one.id for one in taken]


async def start(
    pool: Pool,
    channel: Channel = Channel.EMAIL,
    *,
    provider: str = "resend",
    body: str | None = "Ym9keQ==",
    claim: tuple[UUID, list[str]] | None = None,
) -> Started:
    """Claim and start everything that is due on a channel, as one batch."""
    token, ids = claim or await claimed(pool, channel)
    rows = await starts.read(pool, channel, ids, token)
    send_key, lease = uuid4(), uuid4()
    candidates = [Candidate(row.id, row.address, row.seen, send_key, "sender", ACCOUNT, UUID(int=0)) for row in rows]
    by_id = {row.id: row.address for row in rows}
    numbers = await starts.start(
        pool,
        channel,
        token,
        candidates,
        lambda admitted: (
            [Batch(send_key, provider, ACCOUNT, UUID(int=0), admitted, [by_id[id_] for id_ in admitted], body)]
            if admitted
            else []
        ),
        worker=uuid4(),
        lease=lease,
        lease_seconds=LEASE_SECONDS,
        default_provider=provider,
    )
    return Started(send_key, lease, sorted(numbers))


async def serve(pool: Pool, *queues: str) -> None:
    """Let one more process serve these queues."""
    await presence.announce(pool, Presence(uuid4(), "host", 1, list(queues), 4, "0"), 0)
