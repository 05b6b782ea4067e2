"""Plays the sending of mail at Resend: POST /emails and POST /emails/batch, both with Idempotency-Key.

Follows the vendor's OpenAPI file (resend-openapi 1.5.0), resend.com/docs/dashboard/emails/idempotency-keys and
/docs/dashboard/emails/batch-sending. `x-batch-validation` and the `errors` of its permissive mode come from the
changelog entry on batch validation modes; the OpenAPI file has neither.
"""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from simulator.addresses import bare_mail_address
from simulator.content import compact_json, digest
from simulator.keys import KeyRunning, KeyTaken
from simulator.ledger import Accepted
from simulator.resend import EMAIL, Resend
from simulator.resend_rules import MOST_MAILS, addresses_of, check_mail, invalid
from simulator.vendor import Exchange, Refusal, Reply

KEY_HEADER = "Idempotency-Key"
KEPT_CHARACTERS = 500
"""A longer html or text is not kept, and absent from GET: one hundred thousand mails must fit into memory."""

_NOT_CONTENT = frozenset({"to", "tags", "headers"})
_Problem = dict[str, Any]
_Shape = Callable[[list[str]], dict[str, Any]]


class ResendSend(Resend):
    """What accepts mail."""

    def routes(self) -> list[web.RouteDef]:
        """List the two paths."""
        return [
            web.post("/emails", self.creates(self._send)),
            web.post("/emails/batch", self.creates(self._send_batch)),
        ]

    def note(self, exchange: Exchange) -> None:
        """Count the key and the bytes that came with it, so that a test sees every request under a key."""
        key = exchange.request.headers.get(KEY_HEADER)
        if key is not None and 1 <= len(key) <= 256:
            self.simulation.keys.note(exchange.account, key, exchange.body)

    async def _send(self, exchange: Exchange) -> Reply:
        mail = _json(exchange.body)
        if not isinstance(mail, dict):
            raise invalid("The `request.body` field must be an `object`.")
        check_mail(mail, in_batch=False)
        return await self._once(exchange, mail, [mail], _one_answer)

    async def _send_batch(self, exchange: Exchange) -> Reply:
        mails = _json(exchange.body)
        if not isinstance(mails, list):
            raise invalid("The `request.body` field must be an `array`.")
        if not 1 <= len(mails) <= MOST_MAILS:
            raise invalid(f"A batch takes 1 to {MOST_MAILS} emails.")
        good, problems = _sort_out(mails, _validation_mode(exchange.request))
        return await self._once(exchange, mails, good, partial(_batch_answer, problems))

    async def _once(self, exchange: Exchange, payload: Any, mails: Sequence[Any], shape: _Shape) -> Reply:
        """Accept the mails, or answer from the key under which they were accepted before."""
        key = exchange.request.headers.get(KEY_HEADER)
        if key is None:
            return Reply.text(200, await self._accept(exchange, mails, shape, None))
        if not 1 <= len(key) <= 256:
            raise Refusal(400, "invalid_idempotency_key", "The key must have 1 to 256 characters.")
        try:
            with self.simulation.keys.claim(exchange.account, key, digest(payload)) as promise:
                if promise.answer is not None:
                    self.counts.replays += 1
                    return Reply.text(200, promise.answer)
                promise.answer = await self._accept(exchange, mails, shape, key)
                return Reply.text(200, promise.answer)
        except KeyTaken:
            raise Refusal(409, "invalid_idempotent_request", "The key was used with another payload.") from None
        except KeyRunning:
            raise Refusal(409, "concurrent_idempotent_requests", "A request with this key is running.") from None

    async def _accept(self, exchange: Exchange, mails: Sequence[Any], shape: _Shape, key: str | None) -> str:
        addresses = [address for mail in mails for address in addresses_of(mail["to"])]
        await self.work(exchange, [bare_mail_address(address) or address for address in addresses])
        ids = [self._record(exchange.account, mail, key).id for mail in mails]
        if key is not None:
            self.simulation.keys.accepted(exchange.account, key, len(ids))
        return compact_json(shape(ids))

    def _record(self, account: str, mail: dict[str, Any], key: str | None) -> Accepted:
        return self.simulation.accept(
            Accepted(
                vendor=self.name,
                kind=EMAIL,
                account=account,
                id=str(uuid.uuid4()),
                recipient=",".join(addresses_of(mail["to"])),
                content_sha256=digest({field: value for field, value in mail.items() if field not in _NOT_CONTENT}),
                marks_json=compact_json(_marks(mail)),
                resource_json=compact_json(_kept(mail)),
                idempotency_key=key,
            )
        )


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, "validation_error", "The request body is not JSON.") from None


def _validation_mode(request: web.Request) -> str:
    mode = request.headers.get("x-batch-validation", "strict")
    if mode not in ("strict", "permissive"):
        raise invalid("The `x-batch-validation` header is `strict` or `permissive`.")
    return mode


def _sort_out(mails: list[Any], mode: str) -> tuple[list[Any], list[_Problem] | None]:
    """Return the mails to accept and, in the permissive mode, what is wrong with the others by their index."""
    good: list[Any] = []
    problems: list[_Problem] = []
    for index, mail in enumerate(mails):
        try:
            check_mail(mail, in_batch=True)
            good.append(mail)
        except Refusal as refusal:
            if mode == "strict":
                raise
            problems.append({"index": index, "message": refusal.message})
    return good, problems if mode == "permissive" else None


def _one_answer(ids: list[str]) -> dict[str, Any]:
    return {"id": ids[0]}


def _batch_answer(problems: list[_Problem] | None, ids: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {"data": [{"id": email_id} for email_id in ids]}
    return answer if problems is None else {**answer, "errors": problems}


def _marks(mail: dict[str, Any]) -> dict[str, Any]:
    marks: dict[str, Any] = {"tags": {tag["name"]: tag["value"] for tag in mail.get("tags", ())}}
    return marks | ({"headers": mail["headers"]} if mail.get("headers") else {})


def _kept(mail: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: mail[key] for key in ("from", "subject")}
    kept |= {key: addresses_of(mail[key]) for key in ("to", "cc", "bcc", "reply_to") if key in mail}
    kept |= {key: mail[key] for key in ("html", "text") if len(mail.get(key, "")) in range(1, KEPT_CHARACTERS + 1)}
    return kept | ({"scheduled": True} if "scheduled_at" in mail else {})
