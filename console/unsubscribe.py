"""Where recipients unsubscribe: `GET` and `POST /unsubscribe/{token}`, without a login, a cookie or a script.

Owns the door: a page that asks, because scanners of mail follow links, and a POST that does it, from the page's button
or from the recipient's mail program (RFC 8058). Refuses to suppress: it stores what the recipient said, and a worker
applies it. A token that is not ours is answered 404 and nothing else is said of it.
"""

import asyncio
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from urllib.parse import parse_qsl

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from admission.unsubscribe import Links, digest
from config import log
from config.database import Pool
from console import unsubscribe_page as page
from console.refusals import Refused
from console.uploads import Uploads
from outbox import unsubscribing
from outbox.unsubscribing import Recipient

BODY_LIMIT_BYTES = 8_192
"""The body of RFC 8058 has 26 bytes, as multipart/form-data some 200."""
FIELDS_LIMIT = 20
PATIENCE_SECONDS = 5.0
"""For the database, connection included: somebody is looking at a page that does not come."""

_log = log.get(__name__)

Field = tuple[str, str]


def _uploads() -> Uploads:
    return Uploads(limit_bytes=BODY_LIMIT_BYTES)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the door works with."""

    pool: Pool
    links: Links
    uploads: Uploads = field(default_factory=_uploads)
    patience_seconds: float = PATIENCE_SECONDS


async def unsubscribe(request: Request) -> Response:
    """Show the page, or note what was posted: 200, or 400, 404, 408, 413, and 503 where the database is away."""
    desk: Desk = request.app.state.unsubscribing
    token: str = request.path_params["token"]
    who = desk.links.open(token)
    if who is None:
        return page.refusal(404, "Not found", "This link does not lead anywhere.")
    try:
        fields = await _posted(desk, request, token) if request.method == "POST" else None
        async with asyncio.timeout(desk.patience_seconds):
            return await (_show(desk, who) if fields is None else _note(desk, fields, who, token))
    except Refused as why:
        return page.refusal(why.status, "Not understood", "This is not what the button sends.")
    except (psycopg.Error, PoolTimeout, TimeoutError) as error:
        _log.warning("unsubscribing_refused", error=type(error).__name__)
        return page.refusal(503, "Try again", "This does not work at the moment. Try again soon.", Retry_After="30")


async def _show(desk: Desk, who: Recipient) -> Response:
    show = page.unsubscribed if await unsubscribing.is_unsubscribed(desk.pool, who) else page.question
    return show(log.mask(who.address))


async def _note(desk: Desk, fields: list[Field], who: Recipient, token: str) -> Response:
    shown = log.mask(who.address)
    if page.ONE_CLICK in fields:
        await unsubscribing.unsubscribe(desk.pool, who, digest(token))
        return page.unsubscribed(shown)
    if page.RESUBSCRIBE in fields:
        await unsubscribing.resubscribe(desk.pool, who, digest(token))
        return page.subscribed(shown)
    return page.refusal(400, "Not understood", "Open the link in a browser and press the button.")


async def _posted(desk: Desk, request: Request, token: str) -> list[Field]:
    """Return what was posted. Raises Refused where it is too long, or too slow."""
    body = await desk.uploads.body(request.receive, token, request.headers.get("content-length", ""))
    return fields_of(request.headers.get("content-type", ""), body)


def fields_of(content_type: str, body: bytes) -> list[Field]:
    """Read a posted form in either of its two encodings (RFC 8058, section 3.2); nothing where it is neither."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(content_type, body)
    if kind == "application/x-www-form-urlencoded":
        try:
            return parse_qsl(body.decode(), max_num_fields=FIELDS_LIMIT)
        except ValueError:
            return []
    return []


def _multipart(content_type: str, body: bytes) -> list[Field]:
    head = "".join(character for character in content_type if character.isprintable())
    try:
        whole = message_from_bytes(b"Content-Type: " + head.encode("latin-1", "replace") + b"\r\n\r\n" + body)
        # Asked for the payload of what has no parts, the library decodes it by whatever charset was named.
        parts = whole.get_payload() if whole.is_multipart() else []
        return [_part(part) for part in parts if isinstance(part, Message)]
    except Exception:  # noqa: BLE001 - the library raises whatever it comes upon in what it cannot read
        return []


def _part(part: Message) -> Field:
    name = part.get_param("name", header="content-disposition")
    value = part.get_payload(decode=True)
    return str(name or ""), value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else ""
