"""Which of the vendor's records is which of our unknown attempts: a matching of one to one.

Owns the rules by which they fit. Refuses to ask the vendor, and to decide what an attempt without a record is: both
need the ledger. The attempts are those of one class (one account, one address), the records those that belong to no
other attempt of ours: a message of the same text to the same number has its own record, and that is not here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from uuid import UUID

from providers.lookup import Record

SKEW = timedelta(seconds=300)
"""How far the vendor's clock and its own delay may move a record away from our request."""


@dataclass(frozen=True, slots=True)
class Sought:
    """An unknown attempt: when its request was under way (aware), and what a record of it would show."""

    attempt_id: UUID
    sender: str | None
    digest: str | None
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Matching:
    """What was found, what was not, and what else the vendor has of that time."""

    pairs: Sequence[tuple[Sought, Record]]
    left: Sequence[Sought]
    unmatched: Sequence[Record]
    """Records that match none and may belong to one: while there are any, a person decides about what is left."""


def match(sought: Iterable[Sought], records: Iterable[Record]) -> Matching:
    """Match as many attempts as possible, among equals the oldest with the oldest record.

    The order of the arguments does not matter; a record that is given twice counts once.
    """
    attempts = sorted(sought, key=_age)
    ids = {attempt.attempt_id for attempt in attempts}
    ours = {record.provider_message_id: record for record in records if record.attempt_id in (None, *ids)}
    candidates = sorted(ours.values(), key=_age_of_record)
    found = _by_mark(attempts, candidates)
    found |= _by_content([attempt for attempt in attempts if attempt not in found], candidates)
    matched = {record.provider_message_id for record in found.values()}
    others = [record for record in candidates if record.provider_message_id not in matched]
    return Matching(
        pairs=[(attempt, found[attempt]) for attempt in attempts if attempt in found],
        left=[attempt for attempt in attempts if attempt not in found],
        unmatched=[one for one in others if one.attempt_id or any(_in_time(attempt, one) for attempt in attempts)],
    )


def fits(attempt: Sought, record: Record) -> bool:
    """Tell whether a record without a mark can be this attempt's; what one of the two does not show hinders nothing."""
    return (
        _in_time(attempt, record)
        and (None in (attempt.sender, record.sender) or attempt.sender == record.sender)
        and (None in (attempt.digest, record.digest) or attempt.digest == record.digest)
    )


def _in_time(attempt: Sought, record: Record) -> bool:
    return attempt.started_at - SKEW <= record.created_at <= attempt.ended_at + SKEW


def _age(attempt: Sought) -> tuple[datetime, datetime, UUID]:
    return attempt.started_at, attempt.ended_at, attempt.attempt_id


def _age_of_record(record: Record) -> tuple[datetime, str]:
    return record.created_at, record.provider_message_id


def _by_mark(attempts: Iterable[Sought], candidates: Sequence[Record]) -> dict[Sought, Record]:
    """Give each attempt the oldest record that bears its id: nothing else needs to match."""
    oldest: dict[UUID | None, Record] = {}
    for record in candidates:
        oldest.setdefault(record.attempt_id, record)
    return {attempt: oldest[attempt.attempt_id] for attempt in attempts if attempt.attempt_id in oldest}


def _by_content(attempts: Sequence[Sought], candidates: Sequence[Record]) -> dict[Sought, Record]:
    """Find a largest matching with the records that bear no mark (Kuhn's augmenting paths)."""
    unmarked = {record.provider_message_id: record for record in candidates if record.attempt_id is None}
    holders: dict[str, Sought] = {}
    for attempt in attempts:
        _place(attempt, unmarked, holders, set())
    return _in_order({attempt: unmarked[id_] for id_, attempt in holders.items()})


def _place(attempt: Sought, unmarked: dict[str, Record], holders: dict[str, Sought], tried: set[str]) -> bool:
    """Give the attempt a record, a free one first; else one whose holder can move to another of its own."""
    fitting = [id_ for id_, record in unmarked.items() if fits(attempt, record)]
    for id_ in sorted(fitting, key=holders.__contains__):
        if id_ in tried:
            continue
        tried.add(id_)
        if id_ not in holders or _place(holders[id_], unmarked, holders, tried):
            holders[id_] = attempt
            return True
    return False


def _in_order(found: dict[Sought, Record]) -> dict[Sought, Record]:
    """Exchange records until no two attempts that fit each other's hold them the wrong way round.

    Each exchange leaves fewer pairs the wrong way round, so it ends.
    """
    exchanged = True
    while exchanged:
        exchanged = False
        for older, younger in combinations(sorted(found, key=_age), 2):
            first, second = found[older], found[younger]
            if _age_of_record(second) < _age_of_record(first) and fits(older, second) and fits(younger, first):
                found[older], found[younger] = second, first
                exchanged = True
    return found
