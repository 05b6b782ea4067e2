"""Holds requests and answers against the vendors' own OpenAPI files, with unknown keys forbidden at every depth.

The files are not part of the repository: `VENDOR_SPECS_DIR` names their folder, by default `../shared/reference/specs`
beside the repository. Refuses to guess: a path or a status that a file does not describe is an error, not a pass.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator, OAS31Validator, oas31_format_checker

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

FILES = {"resend": "resend.json", "twilio": "twilio_api_v2010.json", "vapi": "vapi_openapi.json"}

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = Path(os.environ.get("VENDOR_SPECS_DIR") or _ROOT / "../shared/reference/specs")

needs_specs = pytest.mark.skipif(
    not all((_FOLDER / file).is_file() for file in FILES.values()),
    reason="the vendors' OpenAPI files are missing: set VENDOR_SPECS_DIR",
)

Schema = Mapping[str, Any]
Pairs = Sequence[tuple[str, str]]


class Spec:
    """One vendor's OpenAPI file."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._validator = OAS31Validator if document["openapi"].startswith("3.1") else OAS30Validator
        self._templates = {template: _pattern(template) for template in document["paths"]}
        self._validators: dict[int, Any] = {}

    @classmethod
    def of(cls, vendor: str) -> "Spec":
        """Return the file of `resend`, `twilio` or `vapi`, read once."""
        return _load(vendor)

    def request_errors(self, method: str, path: str, content_type: str, body: Any) -> list[str]:
        """List what is wrong with a request's body: JSON as it reads, a form as list of name and value pairs.

        `path` is concrete or a template, without a query. Raises KeyError where the file does not describe it.
        """
        schema = self._operation(method, path)["requestBody"]["content"][content_type]["schema"]
        return self._errors(schema, self._from_form(schema, body) if content_type == FORM else body)

    def query_errors(self, method: str, path: str, pairs: Pairs) -> list[str]:
        """List what is wrong with a request's query: name and value pairs. Raises KeyError as `request_errors` does."""
        parameters = map(self._resolved, self._operation(method, path)["parameters"])
        known = {parameter["name"]: parameter["schema"] for parameter in parameters if parameter["in"] == "query"}
        schema = {"type": "object", "properties": known, "additionalProperties": False}
        return self._errors(schema, self._from_form(schema, pairs))

    def response_errors(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """List what is wrong with an answer's JSON. Raises KeyError where the file does not describe it."""
        schema = self._operation(method, path)["responses"][str(status)]["content"][JSON]["schema"]
        return self._errors(schema, body)

    def webhook_errors(self, event: str, body: Any) -> list[str]:
        """List what is wrong with the JSON of a webhook. Raises KeyError where the file does not describe it."""
        operation = self._document["webhooks"][event]["post"]
        return self._errors(operation["requestBody"]["content"][JSON]["schema"], body)

    def component_errors(self, name: str, value: Any) -> list[str]:
        """List what is wrong with a value by a schema of this name. Raises KeyError as `webhook_errors` does."""
        return self._errors(self._document["components"]["schemas"][name], value)

    def _operation(self, method: str, path: str) -> Mapping[str, Any]:
        fitting = [template for template, pattern in self._templates.items() if pattern.fullmatch(path)]
        if path not in self._templates and not fitting:
            raise KeyError(path)
        # A literal path wins over one with parameters, as OpenAPI demands.
        template = path if path in self._templates else min(fitting, key=lambda template: template.count("{"))
        operation: Mapping[str, Any] = self._document["paths"][template][method.lower()]
        return operation

    def _errors(self, schema: Schema, value: Any) -> list[str]:
        wrong = [f"{_where(error.absolute_path)}: {_shortened(error.message)}" for error in self._wrong(schema, value)]
        return wrong + [f"{where}: unknown key" for where in self._unknown([schema], value, "")]

    def _wrong(self, schema: Schema, value: Any) -> Iterator[Any]:
        # Keyed by identity: the document lives as long as this object, and its parts are never copied.
        if id(schema) not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            # The 3.0 checker would take `binary` for bytes, which JSON cannot hold; for the rest they agree.
            self._validators[id(schema)] = self._validator(whole, format_checker=oas31_format_checker)
        return iter(self._validators[id(schema)].iter_errors(value))

    def _unknown(self, schemas: Sequence[Schema], value: Any, where: str) -> Iterator[str]:
        """Walk down the value; at each place all schemas that apply to it are known."""
        applying = [part for schema in schemas for part in self._applying(schema, value)]
        if isinstance(value, list):
            items = [part["items"] for part in applying if "items" in part]
            for index, item in enumerate(value):
                yield from self._unknown(items, item, f"{where}/{index}")
        if isinstance(value, dict) and any("properties" in part or "additionalProperties" in part for part in applying):
            for key, item in value.items():
                yield from self._unknown_property(applying, key, item, f"{where}/{key}")

    def _unknown_property(self, applying: Sequence[Schema], key: str, item: Any, where: str) -> Iterator[str]:
        named = [part["properties"][key] for part in applying if key in part.get("properties", {})]
        others = [part["additionalProperties"] for part in applying if part.get("additionalProperties")]
        if named:
            yield from self._unknown(named, item, where)
        elif not others:
            yield where
        else:
            yield from self._unknown([other for other in others if isinstance(other, dict)], item, where)

    def _applying(self, schema: Schema, value: Any) -> Iterator[Schema]:
        """Give the schema itself and, through references and combinations, every other that holds for the value."""
        schema = self._resolved(schema)
        yield schema
        for part in schema.get("allOf", ()):
            yield from self._applying(part, value)
        for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
            if next(self._wrong(part, value), None) is None:
                yield from self._applying(part, value)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            part: Any = self._document
            for name in schema["$ref"].removeprefix("#/").split("/"):
                part = part[name]
            schema = part
        return schema

    def _from_form(self, schema: Schema, pairs: Pairs) -> dict[str, Any]:
        """Read form values as the types that the schema gives them; a value that cannot be read stays text."""
        properties = self._resolved(schema).get("properties", {})
        body: dict[str, Any] = {}
        for name, text in pairs:
            kind = self._resolved(properties.get(name, {})).get("type")
            if kind == "array":
                body.setdefault(name, []).append(text)
            else:
                body[name] = _typed(kind, text) if name not in body else [body[name], text]
        return body


@cache
def _load(vendor: str) -> Spec:
    return Spec(_mended(json.loads((_FOLDER / FILES[vendor]).read_text())))


def _mended(part: Any) -> Any:
    """Undo two slips of the generator that wrote Vapi's file, which make the vendor's own examples invalid.

    An enum of items that is repeated on their array is dropped there; an `object` whose enum holds texts is a string.
    """
    if isinstance(part, list):
        return [_mended(one) for one in part]
    if not isinstance(part, dict):
        return part
    mended = {key: _mended(one) for key, one in part.items()}
    if mended.get("type") == "array" and "enum" in mended.get("items", {}):
        mended.pop("enum", None)
    if mended.get("type") == "object" and all(isinstance(one, str) for one in mended.get("enum", [{}])):
        mended["type"] = "string"
    return mended


def _pattern(template: str) -> re.Pattern[str]:
    """Match concrete paths: a parameter is anything without a slash."""
    return re.compile("[^/]+".join(re.escape(literal) for literal in re.split(r"\{[^}]+\}", template)))


def _typed(kind: str | None, text: str) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return text
    return text


def _where(path: Sequence[Any]) -> str:
    return "".join(f"/{part}" for part in path) or "/"


def _shortened(message: str) -> str:
    """Keep both ends of a message: the value stands at its beginning, the reason at its end."""
    return message if len(message) <= 200 else f"{message[:60]} … {message[-120:]}"
