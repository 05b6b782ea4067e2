"""The checker that the conformance tests trust: it must find what is wrong at every depth, and nothing else."""

from typing import Any

import pytest

from tests.conformance.openapi import FORM, JSON, Spec


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def answering(schema: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"responses": {"200": {"content": {JSON: {"schema": schema}}}}}}


def thing(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": [next(iter(properties))], "properties": properties}


FORM_SCHEMA = {
    "properties": {
        "Name": {"type": "string"},
        "Age": {"type": "integer"},
        "Live": {"type": "boolean"},
        "Tag": {"type": "array", "items": {"type": "string"}},
    }
}
MORE = {
    "properties": {
        "at": {"type": "string", "format": "date-time", "nullable": True},
        "free": {"type": "object"},
        "by_name": {"additionalProperties": ref("Named")},
        "pets": {"type": "array", "items": {"oneOf": [ref("Cat"), ref("Dog")]}},
    }
}
QUERY = [
    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}},
    {"$ref": "#/components/parameters/After"},
    {"in": "path", "name": "id", "schema": {"type": "string"}},
]
DOCUMENT = {
    "openapi": "3.0.1",
    "paths": {
        "/lists": {"get": {"parameters": QUERY}},
        "/things/{id}": answering(ref("Thing")),
        "/things/best": answering({"type": "string"}),
        "/things": {"post": {"requestBody": {"content": {FORM: {"schema": FORM_SCHEMA}}}}},
    },
    "components": {
        "parameters": {"After": {"in": "query", "name": "after", "schema": {"type": "string"}}},
        "schemas": {
            "Named": thing(name={"type": "string"}),
            "Cat": thing(kind={"enum": ["cat"]}, lives={"type": "integer"}),
            "Dog": thing(kind={"enum": ["dog"]}, tail={"type": "boolean"}),
            "Thing": {"allOf": [ref("Named"), MORE]},
        },
    },
}
SPEC = Spec(DOCUMENT)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "at": None, "free": {"any": {"thing": 1}}},
        {"name": "x", "at": "2030-01-01T00:00:00Z", "by_name": {"a": {"name": "y"}}},
        {"name": "x", "pets": [{"kind": "cat", "lives": 9}, {"kind": "dog", "tail": True}]},
    ],
)
def test_what_the_file_allows_passes(body: Any) -> None:
    assert SPEC.response_errors("GET", "/things/7", 200, body) == []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "/"),
        ({"name": 7}, "/name"),
        ({"name": "x", "at": "tomorrow"}, "/at"),
        ({"name": "x", "nick": "y"}, "/nick"),
        ({"name": "x", "by_name": {"a": {"name": "y", "nick": "z"}}}, "/by_name/a/nick"),
        ({"name": "x", "pets": [{"kind": "cat", "tail": True}]}, "/pets/0/tail"),
        ({"name": "x", "pets": [{"kind": "cow"}]}, "/pets/0"),
    ],
)
def test_what_is_wrong_is_found_where_it_is(body: Any, where: str) -> None:
    assert [error.partition(": ")[0] for error in SPEC.response_errors("GET", "/things/7", 200, body)] == [where]


def test_a_literal_path_wins_over_one_with_parameters() -> None:
    assert SPEC.response_errors("GET", "/things/best", 200, "gold") == []


def test_a_form_is_read_by_the_types_of_the_file() -> None:
    good = [("Name", "7"), ("Age", "7"), ("Live", "true"), ("Tag", "a"), ("Tag", "b")]
    assert SPEC.request_errors("POST", "/things", FORM, good) == []
    bad = [("Name", "x"), ("Name", "y"), ("Age", "old"), ("Live", "yes"), ("Nick", "z")]
    places = {error.partition(": ")[0] for error in SPEC.request_errors("POST", "/things", FORM, bad)}
    assert places == {"/Name", "/Age", "/Live", "/Nick"}


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [("limit", "100", True), ("after", "x", True), ("limit", "101", False), ("limit", "x", False), ("id", "7", False)],
)
def test_a_query_is_held_to_its_parameters(name: str, value: str, right: bool) -> None:
    assert (SPEC.query_errors("GET", "/lists", [(name, value)]) == []) is right


@pytest.mark.parametrize(("path", "status"), [("/others", 200), ("/things/7", 201)])
def test_what_the_file_does_not_describe_is_an_error(path: str, status: int) -> None:
    with pytest.raises(KeyError):
        SPEC.response_errors("GET", path, status, {})
