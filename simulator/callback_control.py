"""The doors for tests about what vendors tell: order callbacks, register hooks, make people answer, read the truth.

Refuses to call anybody itself: that is `simulator.callbacks`.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from simulator import inbound, orders
from simulator.hooks import Hook
from simulator.ledger import Accepted
from simulator.simulation import Simulation

_LINES_A_WRITE = 500

_json = partial(web.json_response, dumps=lambda value: orjson.dumps(value).decode())


class CallbackControl:
    """The paths that no vendor has."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """List the paths."""
        return [
            web.post("/callbacks", self._order),
            web.get("/callbacks", self._show),
            web.post("/hooks", self._register),
            web.get("/hooks", self._list),
            web.delete("/hooks", self._forget),
            web.post("/inbound", self._inbound),
            web.get("/stats/truth", self._truth),
        ]

    async def _order(self, request: web.Request) -> web.Response:
        callbacks = self._simulation.callbacks
        try:
            callbacks.orders = orders.parse(orjson.loads(await request.read()), callbacks.orders)
        except ValueError as mistake:
            return _json({"error": str(mistake)}, status=400)
        return await self._show(request)

    async def _show(self, _request: web.Request) -> web.Response:
        callbacks = self._simulation.callbacks
        return _json(
            {
                "orders": orders.shown(callbacks.orders),
                "counts": dict(callbacks.counts),
                "waiting": callbacks.waiting,
            }
        )

    async def _register(self, request: web.Request) -> web.Response:
        try:
            hook = Hook.parse(orjson.loads(await request.read()))
        except ValueError as mistake:
            return _json({"error": str(mistake)}, status=400)
        self._simulation.hooks.put(hook)
        return _json({"vendor": hook.vendor, "account": hook.account, "url": hook.url}, status=201)

    async def _list(self, _request: web.Request) -> web.Response:
        shown = [asdict(hook) for hook in self._simulation.hooks]
        return _json([{name: hook[name] for name in ("vendor", "account", "url", "scheme")} for hook in shown])

    async def _forget(self, _request: web.Request) -> web.Response:
        self._simulation.hooks.clear()
        return web.Response(status=204)

    async def _inbound(self, request: web.Request) -> web.Response:
        try:
            return _json({"id": inbound.tell(self._simulation, orjson.loads(await request.read()))}, status=202)
        except ValueError as mistake:
            return _json({"error": str(mistake)}, status=400)

    async def _truth(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with contextlib.suppress(ConnectionError):  # The reader may leave when it has seen enough.
            await response.prepare(request)
            for lines in self._lines():
                await response.write(lines)
            await response.write_eof()
        return response

    def _lines(self) -> Iterator[bytes]:
        """Give what is accepted by now, many lines at a time."""
        accepted = self._simulation.ledger.all
        for start in range(0, len(accepted), _LINES_A_WRITE):
            some = accepted[start : start + _LINES_A_WRITE]
            yield b"".join(orjson.dumps(self._record(one), option=orjson.OPT_APPEND_NEWLINE) for one in some)

    def _record(self, accepted: Accepted) -> dict[str, Any]:
        marks = accepted.marks
        return {
            "vendor": accepted.vendor,
            "kind": accepted.kind,
            "account": accepted.account,
            "id": accepted.id,
            "message_id": marks.get("message") or marks.get("tags", {}).get("message_id"),
            "end": accepted.end,
            "told": self._simulation.callbacks.told.get(accepted.id, []),
        }
