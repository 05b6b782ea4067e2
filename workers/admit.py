"""Which of a bundle's groups may go now, by what is known of their accounts' vendors.

Owns the step between rendering and starting. Refuses to start anything: what may not go is returned, with the
decision that puts it off.
"""

from dataclasses import replace

from admission.breaker import Breaker
from outbox.starts import Claimed
from providers.base import SendError
from workers.prepare import Group

Waiting = list[tuple[Claimed, SendError]]
"""Messages that are put off, each with its reason."""


async def admit(breaker: Breaker, groups: list[Group]) -> tuple[list[Group], Waiting]:
    """Return the groups that may go, and the messages that must wait.

    Where the vendor is being tried out, one message of the whole fleet goes, in a group marked as the probe.
    """
    verdicts = await breaker.ask([group.account for group in groups])
    admitted: list[Group] = []
    waiting: Waiting = []
    probing: set[str] = set()
    for group in groups:
        verdict = verdicts[group.account.fingerprint]
        if verdict.why is None:
            admitted.append(group)
            continue
        passing = 1 if verdict.probe and group.account.fingerprint not in probing else 0
        if passing:
            probing.add(group.account.fingerprint)
            admitted.append(replace(group, members=group.members[:passing], probe=True))
        waiting += [(member.row, verdict.why) for member in group.members[passing:]]
    return admitted, waiting
