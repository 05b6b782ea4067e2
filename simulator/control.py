"""The doors for tests and people: order faults at /faults, read and reset counts at /stats.

Refuses to change what a vendor does by itself: that is in the vendors' modules.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from simulator.faults import VENDORS, Fault
from simulator.ledger import Accepted
from simulator.simulation import Simulation

_LINES_A_WRITE = 500

_json = partial(web.json_response, dumps=lambda value: orjson.dumps(value).decode())


class Control:
    """The paths that no vendor has."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def routes(self) -> list[web.RouteDef]:
        """List the paths."""
        return [
            web.post("/faults", self._order_fault),
            web.get("/faults", self._list_faults),
            web.delete("/faults", self._clear_faults),
            web.get("/stats", self._stats),
            web.delete("/stats", self._reset),
            web.get("/stats/accepted", self._accepted),
            web.get("/stats/keys", self._keys),
        ]

    async def _order_fault(self, request: web.Request) -> web.Response:
        try:
            fault = Fault.parse(orjson.loads(await request.read()))
        except ValueError as mistake:
            return _json({"error": str(mistake)}, status=400)
        self._simulation.faults.orders.append(fault)
        return _json(asdict(fault), status=201)

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return _json([asdict(fault) for fault in self._simulation.faults.orders])

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._simulation.faults.orders.clear()
        return web.Response(status=204)

    async def _stats(self, _request: web.Request) -> web.Response:
        vendors = {vendor: self._of_vendor(vendor) for vendor in VENDORS}
        summed = ("requests", "accepted", "distinct", "duplicates", "replays")
        totals = {name: sum(counts[name] for counts in vendors.values()) for name in summed}
        return _json({**vendors, "totals": totals})

    def _of_vendor(self, vendor: str) -> dict[str, Any]:
        counts, ledger = self._simulation.counts[vendor], self._simulation.ledger
        accepted, distinct = ledger.accepted[vendor], ledger.distinct(vendor)
        return {
            "requests": counts.requests,
            "accepted": accepted,
            "distinct": distinct,
            "duplicates": accepted - distinct,
            "refused": dict(counts.refused),
            "faults": dict(counts.faults),
            "replays": counts.replays,
            "most_requests_per_key": self._simulation.keys.most_requests if vendor == "resend" else 0,
        }

    async def _reset(self, _request: web.Request) -> web.Response:
        self._simulation.reset()
        return web.Response(status=204)

    async def _accepted(self, request: web.Request) -> web.StreamResponse:
        vendor = request.query.get("vendor")
        if vendor is not None and vendor not in VENDORS:
            return _json({"error": f"vendor is one of {', '.join(VENDORS)}"}, status=400)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with contextlib.suppress(ConnectionError):  # The reader may leave when it has seen enough.
            await response.prepare(request)
            for lines in self._accepted_lines(vendor):
                await response.write(lines)
            await response.write_eof()
        return response

    def _accepted_lines(self, vendor: str | None) -> Iterator[bytes]:
        """Give what is accepted by now, many lines at a time; what is accepted meanwhile is left out."""
        accepted = self._simulation.ledger.all
        for start in range(0, len(accepted), _LINES_A_WRITE):
            chosen = (one for one in accepted[start : start + _LINES_A_WRITE] if vendor in (None, one.vendor))
            yield b"".join(orjson.dumps(self._record(one), option=orjson.OPT_APPEND_NEWLINE) for one in chosen)

    def _record(self, accepted: Accepted) -> dict[str, Any]:
        return {
            "vendor": accepted.vendor,
            "kind": accepted.kind,
            "account": accepted.account,
            "id": accepted.id,
            "recipient": accepted.recipient,
            "content_sha256": accepted.content_sha256.hex(),
            "idempotency_key": accepted.idempotency_key,
            **accepted.marks,
            "at_monotonic_seconds": accepted.at_seconds,
            "at_wall_seconds": self._simulation.wall_seconds(accepted.at_seconds),
        }

    async def _keys(self, _request: web.Request) -> web.Response:
        return _json(
            [
                {
                    "account": account,
                    "key": key,
                    "requests": use.requests,
                    "distinct_bodies": len(use.body_digests),
                    "bodies_sha256": [body.hex() for body in use.body_digests],
                    "accepted": use.accepted,
                }
                for account, uses in self._simulation.keys.uses.items()
                for key, use in uses.items()
            ]
        )
