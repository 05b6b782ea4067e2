"""Whatever a vendor answers can be stored."""

import time
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from outbox import storable

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=())) | st.integers(), inner, max_size=5)
    ),
    max_leaves=40,
)


@given(anything)
def test_an_answer_becomes_json_that_postgresql_takes(value: Any) -> None:
    encoded = orjson.dumps(storable.answer(value))
    assert b"\\u0000" not in encoded
    assert len(encoded) <= storable.BYTES_LIMIT


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 50))
def test_a_text_is_clean_and_short(value: str, limit: int) -> None:
    cleaned = storable.text(value, limit)
    assert "\x00" not in cleaned
    assert len(cleaned) <= limit
    cleaned.encode()


def test_what_is_fine_stays_as_it_is() -> None:
    answer = {"id": "x", "n": 1, "f": 1.5, "none": None, "list": [True, {"deep": "ä"}]}
    assert storable.answer(answer) == answer


def test_what_is_too_much_leaves_a_summary() -> None:
    deep: Any = 1
    for _ in range(20_000):
        deep = [deep]
    assert storable.answer(deep) == {"unstorable": True, "type": "list"}
    long = storable.answer({"body": "x" * 20_000})
    assert (long["truncated"], len(long["sha256"])) == (True, 64)


def test_as_many_values_as_fit_are_kept() -> None:
    most = [0] * (storable.BYTES_LIMIT // 2 - 1)
    assert storable.answer(most) == most
    assert storable.answer([*most, 0, 0])["truncated"]
    assert storable.answer([[0]] * 4) == [[0]] * 4


def test_what_could_never_fit_is_given_up_early() -> None:
    # As long as the body of a callback may be.
    zeros: Any = {"x": [0] * 2**19}
    names: Any = {str(number): [] for number in range(2**17)}
    started = time.process_time()
    for _ in range(20):
        assert storable.answer(zeros) == storable.answer(names) == {"truncated": True, "type": "dict"}
    assert time.process_time() - started < 2, "cleaned to its end, each costs half a second"
