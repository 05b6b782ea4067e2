"""The state that the vendors share: how they are set to behave, and what happened since the last reset."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from simulator.addresses import bare_mail_address
from simulator.callbacks import Callbacks
from simulator.draws import Draws
from simulator.ends import End
from simulator.faults import VENDORS, Fault, Faults, Moment
from simulator.hooks import Hooks
from simulator.keys import Keys
from simulator.ledger import Accepted, Ledger
from simulator.marks import Marks
from simulator.orders import Order
from simulator.ratelimit import Buckets, Limit


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line can set."""

    latency_seconds: float = 0.0
    """Added to each create, while the vendor works on it."""
    settle_seconds: float = 1.0
    """How long after acceptance a look-up shows a message delivered and a call completed."""
    seed: int | None = None
    """Makes what is drawn repeat itself: faults by rate, ends, callbacks. Ids are random all the same."""
    limits: Mapping[str, Limit] = field(default_factory=dict)
    """By vendor; a vendor without one has no limit."""
    callbacks: bool = False
    """Whether vendors call back from the start."""
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Counts:
    """What one vendor was asked, refused and did wrong by order."""

    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By the vendor's own error name or code."""
    faults: Counter[str] = field(default_factory=Counter)
    """By kind, counted when they strike."""
    replays: int = 0
    """Requests answered from an idempotency key; nothing was sent for them."""


class Simulation:
    """Everything that is kept in memory."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.faults = Faults(options.seed)
        self.callbacks = Callbacks(Draws(options.seed), Order(on=options.callbacks))
        self.hooks = Hooks()
        self.tokens: dict[str, str] = {}
        """Twilio's auth tokens by account, as they were seen: they sign what is sent to it."""
        self._wall_offset_seconds = time.time() - options.clock()
        self.buckets = {vendor: Buckets(limit, options.clock) for vendor, limit in options.limits.items()}
        self.reset()

    def reset(self) -> None:
        """Forget what was accepted, counted, keyed and stopped; the ordered faults and callbacks and the hooks stay."""
        self.callbacks.forget()
        self.stopped: set[tuple[str, str]] = set()
        """Numbers at Twilio as (ours, theirs): who answered STOP to which of ours."""
        self.ledger = Ledger(self.options.clock)
        self.keys = Keys(self.options.clock)
        self.marks = Marks()
        self.counts: dict[str, Counts] = defaultdict(Counts, {vendor: Counts() for vendor in VENDORS})

    def accept(self, send: Accepted, impossible: Collection[End] = ()) -> Accepted:
        """Record one send, hidden or redacted where a fault orders it, and draw its end; an impossible one is none."""
        end = send.end or self.callbacks.end_of(send.vendor, send.kind, send.about)
        send = send._replace(end=End.DELIVERED if end in impossible else end)
        fault = self._fault_of(send)
        if fault is None:
            return self.ledger.accept(send)
        self.counts[send.vendor].faults[fault.kind] += 1
        hidden_seconds = fault.seconds or 0.0 if fault.kind == "hide" else 0.0
        return self.ledger.accept(send._replace(hidden_seconds=hidden_seconds, redacted=fault.kind == "redact"))

    def _fault_of(self, send: Accepted) -> Fault | None:
        recipient = bare_mail_address(send.recipient) or send.recipient
        fault = self.faults.draw(send.vendor, "create", Moment.ACCEPTANCE)
        return fault or self.marks.draw((recipient,), (Moment.ACCEPTANCE,))

    def listed(self, accepted: Accepted) -> bool:
        """Tell whether lists show a send by now; asked for by its id, it is always there."""
        return self.options.clock() - accepted.at_seconds >= accepted.hidden_seconds

    def wall_seconds(self, at_seconds: float) -> float:
        """Return a moment of the simulator's clock as Unix time."""
        return at_seconds + self._wall_offset_seconds

    def settled(self, at_seconds: float) -> bool:
        """Tell whether what was accepted then has reached its end by now."""
        return self.options.clock() - at_seconds >= self.options.settle_seconds
