"""`python -m simulator --port N`: reads the arguments, serves until a signal comes or the parent is gone.

Refuses any address that is not loopback: it answers everybody and keeps what it gets.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import sys
import threading
from collections.abc import Sequence

from aiohttp import web

from simulator.app import create_app
from simulator.faults import VENDORS
from simulator.ratelimit import Limit
from simulator.simulation import Options

# Hanging requests are not waited for.
_SHUTDOWN_SECONDS = 0.2
_BACKLOG = 1024
_STDIN = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as the arguments say."""
    asked = _parser().parse_args(arguments)
    options = Options(
        latency_seconds=asked.latency_ms / 1000,
        settle_seconds=asked.settle_seconds,
        seed=asked.seed,
        limits=dict(asked.limit),
        callbacks=asked.callbacks,
    )
    try:
        asyncio.run(_serve(asked.host, asked.port, options, die_with_parent=asked.die_with_parent))
    except OSError as refused:
        sys.exit(f"simulator: {refused}")


async def _serve(host: str, port: int, options: Options, *, die_with_parent: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if die_with_parent:
        threading.Thread(target=_await_end_of_stdin, args=(loop, stopped), daemon=True).start()
    runner = web.AppRunner(create_app(options), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        sys.stdout.write(f"simulator listening on http://{_authority(*runner.addresses[0][:2])}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Wait for the end of standard input: a pipe ends when its writer dies, whichever way it dies."""
    with contextlib.suppress(OSError):  # Standard input was never open: as good as ended.
        while os.read(_STDIN, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # The loop is closed: the simulator ends already.
        loop.call_soon_threadsafe(stopped.set)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("simulator", description="Plays Resend, Twilio and Vapi on loopback.")
    parser.add_argument("--port", type=int, required=True, help="0 picks a free one")
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="a loopback address")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="added to each create")
    parser.add_argument("--settle-seconds", type=float, default=1.0, help="from acceptance to delivery in look-ups")
    parser.add_argument("--seed", type=int, help="makes the draw of faults by rate repeat itself")
    parser.add_argument(
        "--limit", type=_limit, action="append", default=[], metavar="VENDOR=RATE[:BURST]", help="requests a second"
    )
    parser.add_argument("--callbacks", action="store_true", help="call back to loopback addresses that ask for it")
    parser.add_argument("--die-with-parent", action="store_true", help="end when standard input, a pipe, ends")
    return parser


def _loopback(host: str) -> str:
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return host
    raise argparse.ArgumentTypeError("the simulator listens on loopback only")


def _limit(text: str) -> tuple[str, Limit]:
    vendor, _, limit = text.partition("=")
    if vendor not in VENDORS:
        raise argparse.ArgumentTypeError(f"a limit is for one of {', '.join(VENDORS)}")
    return vendor, Limit.parse(limit)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    main()
