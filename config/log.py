"""Log lines: the only place that decides how they look, and the last guard against personal data in them.

Every event is a verb with fields. Messages, secrets and whole addresses are never passed to a logger; what slips
through in the text of a library's exception is masked here.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# Each pattern takes a whole word at a time, with whatever it is: a text is read once, however hostile it is. Wider than
# the rules for addresses: what is hidden too much costs a word, what is shown costs a person.
_WORD = re.compile(r"([^\s@<>()\[\],;:\"]+)(@[\w.-]+)?")
_QUOTED = re.compile(r"(.*)%40(?=[\w.-])")
_BEFORE_AN_ADDRESS = "/'…"
_PHONE = re.compile(r"(?:\+|%2B)\d{4,}(?=\d{3})")
_LOGIN = re.compile(r"(://[^:/@\s]*:)(\S*)")

# What they log at these levels and below, of each request, try or connection, is in our own events where it matters.
_CHATTY = {
    "aiohttp.access": logging.WARNING,
    "dramatiq.broker": logging.WARNING,
    "dramatiq.asyncio": logging.WARNING,
    "psycopg.pool": logging.ERROR,  # while a server is away it warns of every try: `scheduler.absence` says so once
}

get = structlog.stdlib.get_logger


def configure(level: str, form: Literal["console", "json"] | None, **bound: str) -> None:
    """Set up logging for this process, on stderr; `bound` fields (process, channels) stand in every line.

    `form` None means: for people where stderr is a terminal, JSON otherwise.
    """
    form = form or ("console" if sys.stderr.isatty() else "json")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _binding(bound),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.format_exc_info,
        mask_fields,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if form == "console" else structlog.processors.JSONRenderer(_to_json)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(least)


def _binding(bound: dict[str, str]) -> Processor:
    """Add the process's own fields to each event; a context variable would not reach other threads."""

    def bind(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**bound, **event}

    return bind


def mask(text: str) -> str:
    """Hide what identifies a person or opens a door: j…@example.com, …100 of a number, passwords in URLs."""
    text = _LOGIN.sub(_without_password, text)
    if "@" in text or "%40" in text:
        text = _WORD.sub(_without_name, text)
    return _PHONE.sub("…", text)


def _without_password(found: re.Match[str]) -> str:
    login, rest = found.groups()
    _, at, host = rest.rpartition("@")
    return f"{login}…@{host}" if at else found[0]


def _without_name(found: re.Match[str]) -> str:
    """Return a word with the first letter of the name in front of its @, and no more of it."""
    name, host = found[1], found[2]
    if host is None:
        quoted = _QUOTED.match(name)
        if quoted is None:
            return name
        name, host = quoted[1], "@" + name[quoted.end() :]
    shown = len(name) - len(name.lstrip(_BEFORE_AN_ADDRESS)) + 1
    return f"{name[:shown]}…{host}" if shown <= len(name) else found[0]


def mask_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask every text of a log event, also inside of lists and objects (a structlog processor)."""
    # What begins with an underscore is structlog's own and never shown.
    return {key: value if key.startswith("_") else _masked(value) for key, value in event.items()}


def _masked(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {mask(str(key)): _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(item) for item in value]
    return mask(str(value))


def _to_json(event: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event).decode()
    except orjson.JSONEncodeError:
        return json.dumps(event)  # slower; it takes broken characters and numbers of any size
