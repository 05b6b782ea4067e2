"""From a vendor's outcome to what the ledger writes. The one place where a decision meets a status.

An outcome under a tainted send key says nothing of the request before it: only an acceptance, or an answer to the
request as a whole, ends what began as unknown.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from admission.accounts import HALT_SECONDS
from config.channels import Channel
from outbox.retry import Policy
from outbox.settlements import Settlement
from outbox.states import ErrorClass, Status
from providers.base import Accepted, Account, Halted, Later, Outcome, Rejected, SendError, Stopped, Unknown
from workers.lease import Lease


@dataclass(frozen=True, slots=True)
class Sending:
    """One message under way: what its settlement must know of its start."""

    id: UUID
    address: str | None
    sender: str | None
    counted: int
    """Attempts of its budget that were used up before this one."""
    tried_before: bool
    workspace_id: UUID | None = None
    """Or the tenant, where it has no workspace."""
    campaign_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Flight:
    """What the messages of one batch have in common while they are under way."""

    send_key: UUID
    channel: Channel
    lease: Lease
    account: Account
    policy: Policy
    tainted: bool = False
    """A request under this key ended unknown before: this one is a replay."""
    poll_after_seconds: float | None = None
    """After how long the vendor is asked what became of a message that it took; None where it is not asked."""
    probe: bool = False
    """It finds out whether the account's vendor works again."""


def fold(outcome: Outcome, *, tainted: bool) -> Outcome:
    """Return what is known of a message after this outcome and what was known before.

    A refusal that came with the vendor's answer to the whole request (2xx) is its record of the first time and
    definite; any other refusal of a replay is only about the replay.
    """
    if not tainted or isinstance(outcome, Accepted | Unknown):
        return outcome
    if outcome.http_status is not None and 200 <= outcome.http_status < 300:
        return outcome
    return Unknown(outcome.code, f"the replay was refused, the first request may have been taken: {outcome.reason}")


def settlement(flight: Flight, message: Sending, outcome: Outcome, elapsed_seconds: float) -> Settlement:
    """Return what the ledger writes for one message; `outcome` is already folded."""
    return Settlement(
        id=message.id,
        send_key=flight.send_key,
        lease=flight.lease.token,
        provider=flight.account.provider,
        account=flight.account.fingerprint,
        account_tenant_id=flight.account.tenant_id,
        address=message.address,
        sender=message.sender,
        tried_before=message.tried_before,
        http_status=outcome.http_status,
        elapsed_seconds=elapsed_seconds,
        poll_after_seconds=flight.poll_after_seconds,
        recipient_stopped=isinstance(outcome, Stopped),
        **_decision(flight, message.counted, outcome),
    )


def _decision(flight: Flight, counted: int, outcome: Outcome) -> dict[str, Any]:
    policy = flight.policy
    match outcome:
        case Accepted(provider_message_id=vendor_id, answer=answer):
            found = {"status": Status.SENT, "provider_message_id": vendor_id, "response": answer}
        case Rejected():
            found = {"status": Status.FAILED, "error_class": ErrorClass.REJECTED}
        case Halted():
            delay = policy.capacity_delay_seconds(HALT_SECONDS)
            found = {"status": Status.SCHEDULED, "counted": False, "delay_seconds": delay}
        case Later() if not outcome.counted:
            delay = policy.capacity_delay_seconds(outcome.after_seconds)
            found = {"status": Status.SCHEDULED, "counted": False, "delay_seconds": delay}
        case Later() if policy.exhausted(counted + 1):
            found = {"status": Status.FAILED, "error_class": ErrorClass.EXHAUSTED}
        case Later():
            delay = policy.delay_seconds(counted + 1, asked_seconds=outcome.after_seconds)
            found = {"status": Status.SCHEDULED, "delay_seconds": delay}
        case _:
            found = {"status": Status.UNKNOWN}
    if not isinstance(outcome, Accepted):
        found |= {"error_code": outcome.code, "error_message": _reason(flight, outcome)}
    kind = Rejected if isinstance(outcome, Rejected) else type(outcome)
    return {**found, "outcome": kind.__name__.lower()}


def _reason(flight: Flight, error: SendError) -> str:
    return error.reason_under(flight.account) if isinstance(error, Halted) else error.reason
