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

# Wider than the rules for addresses: what is hidden too much costs a word, what is shown costs a person. The bound
# keeps a long text without any @ from being read again at each of its characters.
_EMAIL = re.compile(r"([^\s@<>()\[\],;:/\"'…])[^\s@<>()\[\],;:\"]{0,63}(?:@|%40)([\w.-]+)")
_PHONE = re.compile(r"(?:\+|%2B)\d{4,}(?=\d{3})")
_PASSWORD = re.compile(r"(://[^:/@\s]*):\S*@")

# They log a line a request or a connection at INFO; what matters of that is in our own events.
_CHATTY = ("aiohttp.access", "psycopg.pool", "dramatiq.broker", "dramatiq.asyncio")

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
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _binding(bound: dict[str, str]) -> Processor:
    """Add the process's own fields to each event; a context variable would not reach other threads."""

    def bind(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**bound, **event}

    return bind


def mask(text: str) -> str:
    """Hide what identifies a person or opens a door: j…@example.com, …100 of a number, passwords in URLs."""
    text = _PASSWORD.sub(r"\1:…@", text)
    text = _EMAIL.sub(r"\1…@\2", text)
    return _PHONE.sub("…", text)


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
