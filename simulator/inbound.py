"""What people do of their own accord, by command: they answer a message, write a mail, call a number of ours.

Owns the JSON of `POST /inbound`. Refuses to know how a vendor tells of it: that is in the vendors' modules.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from simulator.callbacks import Telling
from simulator.faults import VENDORS
from simulator.hooks import Hook
from simulator.resend_callbacks import of_hook, received
from simulator.simulation import Simulation
from simulator.twilio_inbound import Reply, receive
from simulator.vapi_callbacks import VapiTelling, inbound

_KNOWN = frozenset({"vendor", "from", "to", "body", "url", "account", "service"})


def tell(simulation: Simulation, command: Any) -> str:
    """Carry a command out and return the vendor's id of what came in. Raises ValueError with one sentence."""
    if not isinstance(command, dict) or not {"vendor", "from", "to"} <= command.keys() <= _KNOWN:
        raise ValueError(f"a command is an object with vendor, from and to, and of {', '.join(sorted(_KNOWN))}")
    if not all(isinstance(value, str) for value in command.values()) or command["vendor"] not in VENDORS:
        raise ValueError(f"every part of a command is text, and vendor one of {', '.join(VENDORS)}")
    telling, id_ = _WAYS[command["vendor"]](simulation, command)
    simulation.callbacks.tell(telling, 0.0, commanded=True)
    return id_


def _message(simulation: Simulation, command: Mapping[str, str]) -> tuple[Telling, str]:
    account = command.get("account") or next(reversed(simulation.tokens), "")
    hook = simulation.hooks.of("twilio", account)
    token = (hook.secret if hook else "") or simulation.tokens.get(account, "")
    if not token:
        raise ValueError("no account of Twilio has sent anything yet, nor has its hook a secret: nothing can sign")
    url = command.get("url") or (hook.url if hook else "")
    reply = Reply(account, command["from"], command["to"], command.get("body", ""), command.get("service"))
    return receive(simulation, reply, _given(url), token)


def _mail(simulation: Simulation, command: Mapping[str, str]) -> tuple[Telling, str]:
    hook, id_ = _hook(simulation, command), str(uuid.uuid4())
    payload = partial(received, id_, command["from"], command["to"], command.get("body", ""), time.time())
    return of_hook(hook, payload, vendor="resend", kind="received", about=_about(command)), id_


def _call(simulation: Simulation, command: Mapping[str, str]) -> tuple[Telling, str]:
    hook, account = _hook(simulation, command), command.get("account", "")
    body = command.get("body", "I have a question.")
    said = inbound(account, command["from"], command["to"], body, int(time.time() * 1000))
    url, about = _given(command.get("url") or hook.url), _about(command)
    telling = VapiTelling(vendor="vapi", kind="inbound", url=url, about=about, server={}, hook=hook, said=lambda: said)
    return telling, said["call"]["id"]


_WAYS: Mapping[str, Callable[[Simulation, Mapping[str, str]], tuple[Telling, str]]] = {
    "twilio": _message,
    "resend": _mail,
    "vapi": _call,
}


def _hook(simulation: Simulation, command: Mapping[str, str]) -> Hook:
    hook = simulation.hooks.of(command["vendor"], command.get("account"))
    if hook is None:
        raise ValueError(f"{command['vendor']} has no hook: nothing says where to call, nor with which secret")
    return hook


def _given(url: str) -> str:
    if not url:
        raise ValueError("there is no hook, so the command names the url")
    return url


def _about(command: Mapping[str, str]) -> bytes:
    return "\0".join(f"{name}={command[name]}" for name in sorted(command)).encode()
