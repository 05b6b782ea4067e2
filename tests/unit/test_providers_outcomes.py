"""Whatever a vendor or a proxy in between answers: an outcome for each message, and no acceptance without an id."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalog import CATALOG
from providers.base import Accepted, Later, Outcome, Rejected, Response, SendError, Unknown
from tests.samples import message_for
from tests.vendors import PROVIDERS, request_of

KEYS = ("id", "sid", "data", "errors", "index", "message", "name", "code", "statusCode", "status")

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
leaves |= st.sampled_from([20003, 21211, 21611, "validation_error", "rate_limit_exceeded", "Over Concurrency Limit"])
answers: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
bodies = st.binary(max_size=200) | answers.map(lambda answer: json.dumps(answer).encode())
headers = st.dictionaries(st.sampled_from(["retry-after", "date", "content-type"]), st.text(max_size=40), max_size=3)
REQUESTS = {
    (name, count): request_of(name, *(message_for(name, number) for number in range(count)))
    for name, facts in CATALOG.items()
    for count in {1, min(3, facts.request_size)}
}
each_route = pytest.mark.parametrize(("name", "count"), REQUESTS)


def outcomes(name: str, count: int, response: Response) -> list[Outcome]:
    return list(PROVIDERS[name].outcomes(REQUESTS[name, count], response))


def ids_in(value: Any) -> set[str]:
    """Every text that stands under a key of an id, at any depth."""
    if isinstance(value, list):
        return set().union(*map(ids_in, value))
    if not isinstance(value, dict):
        return set()
    own = {text for key in ("id", "sid") if isinstance(text := value.get(key), str)}
    return own.union(*map(ids_in, value.values()))


@each_route
@settings(deadline=None)
@given(status=st.integers(100, 599), names=headers, body=bodies)
def test_no_answer_raises_and_none_is_taken_for_an_acceptance_without_an_id(
    name: str, count: int, status: int, names: dict[str, str], body: bytes
) -> None:
    made = outcomes(name, count, Response(status, names, body))
    assert len(made) == count
    for outcome in made:
        if isinstance(outcome, Accepted):
            assert 200 <= status < 300
            assert outcome.provider_message_id in ids_in(json.loads(body)) - {""}
        else:
            assert isinstance(outcome, SendError)
            assert outcome.code
            assert outcome.reason
            assert not isinstance(outcome, Later) or (outcome.after_seconds or 0) >= 0
            assert status >= 300 or isinstance(outcome, Unknown | Rejected)


@each_route
@pytest.mark.parametrize("depth", [500, 5_000])
def test_a_deep_answer_is_no_way_to_break_a_worker(name: str, count: int, depth: int) -> None:
    body = b'{"message":' * depth + b"1" + b"}" * depth
    for status in (200, 400, 500):
        assert len(outcomes(name, count, Response(status, {}, body))) == count


@each_route
def test_a_success_without_content_is_unknown(name: str, count: int) -> None:
    for body in (b"", b"null", b"{}", b"[]", b"OK", b"<html></html>", b'{"id": ""}', b'{"sid": null}', b"\xff\xfe"):
        assert {type(one) for one in outcomes(name, count, Response(200, {}, body))} == {Unknown}
