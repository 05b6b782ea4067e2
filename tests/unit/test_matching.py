"""The matching of unknown attempts with a vendor's records: what must never happen, and what must."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.lookup import Record
from workers.matching import SKEW, Matching, Sought, fits, match

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OTHERS_MARK = UUID(int=99)


def sought(number: int, *, sender: str | None = "+1", digest: str | None = "a", at: int = 0, lasts: int = 15) -> Sought:
    """An attempt that began `at` seconds after noon."""
    started_at = NOON + at * SECOND
    return Sought(UUID(int=number), sender, digest, started_at, started_at + lasts * SECOND)


def record(
    id_: str, *, sender: str | None = "+1", digest: str | None = "a", at: int = 0, mark: UUID | None = None
) -> Record:
    return Record(id_, NOON + at * SECOND, sender, digest, mark)


def pairs(matching: Matching) -> dict[int, str]:
    return {attempt.attempt_id.int: found.provider_message_id for attempt, found in matching.pairs}


def unmatched(matching: Matching) -> list[str]:
    return [one.provider_message_id for one in matching.unmatched]


senders = st.sampled_from([None, "+1", "+2"])
digests = st.sampled_from([None, "a", "b"])
times = st.integers(-700, 700)


@st.composite
def attempts(draw: st.DrawFn) -> list[Sought]:
    numbers = draw(st.lists(st.integers(1, 6), max_size=4, unique=True))
    lasts = st.integers(0, 60)
    return [
        sought(number, sender=draw(senders), digest=draw(digests), at=draw(times), lasts=draw(lasts))
        for number in numbers
    ]


@st.composite
def lists(draw: st.DrawFn, *, marked: bool = True) -> list[Record]:
    names = draw(st.lists(st.sampled_from("uvwxyz"), max_size=4, unique=True))
    marks = st.sampled_from([None, None, *(UUID(int=number) for number in range(1, 8))]) if marked else st.none()
    return [
        record(name, sender=draw(senders), digest=draw(digests), at=draw(times), mark=draw(marks)) for name in names
    ]


def most(wanted: list[Sought], records: list[Record]) -> int:
    """The size of the largest matching, by trying them all."""
    slots: list[Record | None] = [*records, *[None] * len(wanted)]
    return max(
        sum(one is not None and fits(attempt, one) for attempt, one in zip(wanted, chosen, strict=True))
        for chosen in permutations(slots, len(wanted))
    )


@settings(deadline=None)
@given(attempts(), lists())
def test_no_attempt_has_two_records_and_no_record_two_attempts(wanted: list[Sought], records: list[Record]) -> None:
    matching = match(wanted, records)
    assert len({attempt for attempt, _ in matching.pairs}) == len(matching.pairs)
    assert len({found.provider_message_id for _, found in matching.pairs}) == len(matching.pairs)
    assert {attempt for attempt, _ in matching.pairs} | set(matching.left) == set(wanted)
    assert len(matching.pairs) + len(matching.left) == len(wanted)
    assert not {found.provider_message_id for _, found in matching.pairs} & set(unmatched(matching))
    for attempt, found in matching.pairs:
        assert found.attempt_id == attempt.attempt_id or (found.attempt_id is None and fits(attempt, found))


@settings(deadline=None)
@given(attempts(), lists(marked=False))
def test_the_matching_is_a_largest_one(wanted: list[Sought], records: list[Record]) -> None:
    assert len(match(wanted, records).pairs) == most(wanted, records)


@settings(deadline=None)
@given(attempts(), lists())
def test_a_mark_always_wins_and_belongs_to_nobody_else(wanted: list[Sought], records: list[Record]) -> None:
    found = {attempt.attempt_id: one for attempt, one in match(wanted, records).pairs}
    marks = {one.attempt_id for one in records if one.attempt_id}
    for attempt in wanted:
        if attempt.attempt_id in marks:
            assert found[attempt.attempt_id].attempt_id == attempt.attempt_id


@settings(deadline=None)
@given(attempts(), lists())
def test_what_stays_unmatched_in_anybodys_time_is_shown(wanted: list[Sought], records: list[Record]) -> None:
    matching = match(wanted, records)
    matched = {found.provider_message_id for _, found in matching.pairs}
    ids = {attempt.attempt_id for attempt in wanted}
    for one in records:
        unmarked_in_time = one.attempt_id is None and any(
            attempt.started_at - SKEW <= one.created_at <= attempt.ended_at + SKEW for attempt in wanted
        )
        expected = one.provider_message_id not in matched and (one.attempt_id in ids or unmarked_in_time)
        assert (one in matching.unmatched) == expected


@settings(deadline=None)
@given(attempts(), lists(), st.randoms(use_true_random=False))
def test_the_order_of_the_arguments_does_not_matter(
    wanted: list[Sought], records: list[Record], chance: Random
) -> None:
    first = match(wanted, records)
    chance.shuffle(wanted)
    chance.shuffle(records)
    assert match(wanted, [*records, *records]) == first


@settings(deadline=None)
@given(attempts(), lists(marked=False))
def test_the_older_attempt_has_the_older_record_where_both_fit(wanted: list[Sought], records: list[Record]) -> None:
    matching = match(wanted, records)
    for older, first in matching.pairs:
        for younger, second in matching.pairs:
            if older.started_at < younger.started_at and fits(older, second) and fits(younger, first):
                assert first.created_at <= second.created_at


@settings(deadline=None)
@given(attempts(), lists())
def test_a_further_record_never_lessens_what_is_found(wanted: list[Sought], records: list[Record]) -> None:
    further = [*records, *(Record(f"of-{one.attempt_id}", one.started_at) for one in wanted[:1])]
    assert len(match(wanted, records).pairs) <= len(match(wanted, further).pairs)


def test_of_two_equal_messages_the_unknown_one_does_not_adopt_the_others_id() -> None:
    settled = record("SM-of-the-other", at=2)
    known = {settled.provider_message_id}
    shown = [one for one in (settled, record("SM-of-this", at=3)) if one.provider_message_id not in known]
    assert pairs(match([sought(1)], shown)) == {1: "SM-of-this"}
    nothing = match([sought(1)], [])
    assert (pairs(nothing), unmatched(nothing)) == ({}, [])
    assert [attempt.attempt_id.int for attempt in nothing.left] == [1]


def test_equal_attempts_get_equal_records_by_age() -> None:
    wanted = [sought(number, at=10 * number) for number in (3, 1, 2)]
    shown = [record(name, at=at) for name, at in (("second", 21), ("first", 11), ("third", 31))]
    matching = match(wanted, shown)
    assert pairs(matching) == {1: "first", 2: "second", 3: "third"}
    assert (matching.left, matching.unmatched) == ([], [])


def test_an_attempt_moves_to_another_record_for_one_that_fits_only_the_first() -> None:
    wanted = [sought(1, digest=None), sought(2, at=1)]
    assert pairs(match(wanted, [record("of-both"), record("of-the-first", digest="b", at=1)])) == {
        1: "of-the-first",
        2: "of-both",
    }


@pytest.mark.parametrize("other", [{"sender": "+2"}, {"digest": "b"}, {"at": -301}, {"at": 316}])
def test_another_sender_text_or_time_is_no_match(other: dict[str, object]) -> None:
    matching = match([sought(1)], [record("other", **other)])  # type: ignore[arg-type]
    assert pairs(matching) == {}
    assert unmatched(matching) == ([] if "at" in other else ["other"]), "of another time it is no candidate"


@pytest.mark.parametrize("at", [-300, 0, 315])
def test_what_is_not_shown_hinders_nothing(at: int) -> None:
    assert pairs(match([sought(1)], [record("bare", sender=None, digest=None, at=at)])) == {1: "bare"}


def test_a_mark_needs_nothing_else() -> None:
    marked = record("marked", sender="+9", digest="z", at=5_000, mark=UUID(int=1))
    matching = match([sought(1)], [record("older"), marked])
    assert (pairs(matching), unmatched(matching)) == ({1: "marked"}, ["older"])


def test_anothers_mark_is_no_candidate() -> None:
    matching = match([sought(1)], [record("marked", mark=OTHERS_MARK)])
    assert (pairs(matching), unmatched(matching), len(matching.left)) == ({}, [], 1)


def test_a_second_acceptance_under_one_mark_is_shown() -> None:
    twice = [record(name, at=at, mark=UUID(int=1)) for name, at in (("again", 9), ("once", 1))]
    matching = match([sought(1)], twice)
    assert (pairs(matching), unmatched(matching)) == ({1: "once"}, ["again"])
