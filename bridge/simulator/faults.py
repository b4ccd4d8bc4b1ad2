"""The faults of the simulator: their names, the faults that are switched on, and how often each fault has struck."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import monotonic

HTTP_FAULTS = frozenset(
    {
        # The fault replaces the server: the request does not reach Web Services.
        "html-503",  # the HTML page of a load balancer
        "reset",  # the connection closes without a reply
        "unknown-client",  # a Bayeux reply with error 402
        "other-node",  # 403 with statusCode 20 for a request without a password, as from a node without the login
        "zip-bomb",  # 1.6 MB of gzip that decompress to 1.6 GB of blanks
        "endless-body",  # blanks until the client closes the connection
        # Web Services handles the request, and the fault changes or delays the reply.
        "slow",  # the request is handled after `delay` seconds
        "cut-reply",  # the connection closes in the middle of the body
        "broken-json",  # the JSON text ends too early
        "wrong-id",  # replies on the meta channel `on` have another id than the request
        "refuse-subscription",  # subscriptions are refused with 403 and not sent to the server
        "advice-none",  # replies on meta channels contain an error and the advice `reconnect: none`
        "advice-hours",  # the advice contains an interval, a timeout and a maxInterval of hours
        "odd-client-id",  # the clientId contains control characters
        "odd-acknowledgement",  # `ext.ack` is -1
        "odd-subscription",  # the reply also contains replies to subscriptions that nobody has requested
        "unsolicited",  # the reply also contains a /meta/disconnect and a /meta/handshake that nobody has requested
    }
)
REFUSALS = frozenset({"status-4", "status-20", "csrf-invalid", "forbidden-3", "forbidden-5"})
ANSWERS = frozenset({"acknowledgement-missing", "acknowledgement-doubled", "acknowledgement-late"})
REFERENCES = frozenset({"numeric-reference", "no-reference"})
OPERATION_FAULTS = REFUSALS | ANSWERS | REFERENCES
KINDS = frozenset({"handshake", "connect", "subscribe", "disconnect", "rest", "login", "any"})


@dataclass(frozen=True)
class Fault:
    """A fault that strikes requests of the kind `on`.

    The fault ignores the first `after` of these requests. Of the other requests, the fault strikes each `every`-th
    request, at most `times` times (None: no limit). The fault ends `seconds` after it was added (None: never). A struck
    request first waits for `delay` seconds. With `acknowledgement-late`, `delay` is the additional delay of the
    acknowledgement.

    Raises:
        ValueError: unknown name or unknown kind of request.
    """

    name: str
    on: str = "any"
    times: int | None = None
    seconds: float | None = None
    after: int = 0
    delay: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        if self.name not in HTTP_FAULTS | OPERATION_FAULTS:
            raise ValueError(f"unknown fault {self.name!r}; known: {', '.join(sorted(HTTP_FAULTS | OPERATION_FAULTS))}")
        if self.on not in KINDS:
            raise ValueError(f"unknown kind of request {self.on!r}; known: {', '.join(sorted(KINDS))}")

    @classmethod
    def from_text(cls, line: str) -> "Fault":
        """Parse `name[:on[:times]]`, followed by fields with names, such as `slow:connect:2:delay=1.5`."""
        positional: list[str] = []
        named: dict[str, str] = {}
        for part in line.strip().split(":"):
            key, equals, value = part.partition("=")
            if equals:
                named[key] = value
            else:
                positional.append(part)
        name, on, times, *rest = [*positional, *[""] * (3 - len(positional))]
        unknown = [*rest, *(named.keys() - {"seconds", "after", "delay", "every", "times", "on"})]
        if unknown:
            raise ValueError(f"cannot read {unknown[0]!r} in the fault {line!r}")
        on = named.get("on", on)
        times = named.get("times", times)
        return cls(
            name,
            on=on or "any",
            times=int(times) if times else None,
            seconds=float(named["seconds"]) if "seconds" in named else None,
            after=int(named.get("after", "0")),
            delay=float(named.get("delay", "0")),
            every=int(named.get("every", "1")),
        )


class _Armed:
    """A fault that is switched on, with counters of the requests that it has seen."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._pass_over = fault.after
        self._passed = 0
        self._left = fault.times
        self._until = None if fault.seconds is None else monotonic() + fault.seconds

    @property
    def spent(self) -> bool:
        return self._left == 0 or (self._until is not None and monotonic() >= self._until)

    def strikes(self) -> bool:
        if self.spent:
            return False
        if self._pass_over > 0:
            self._pass_over -= 1
            return False
        self._passed += 1
        if self._passed % self.fault.every:
            return False
        if self._left is not None:
            self._left -= 1
        return True


class Faults:
    """The faults that are switched on, and how often each fault has struck."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._struck: Counter[str] = Counter()

    @property
    def armed(self) -> tuple[Fault, ...]:
        """The faults that can still strike, in the order in which they were added."""
        return tuple(one.fault for one in self._armed if not one.spent)

    @property
    def struck(self) -> Mapping[str, int]:
        """The number of strikes of each fault since the start. `clear` does not reset the numbers."""
        return dict(self._struck)

    def add(self, fault: Fault) -> None:
        """Switch a fault on."""
        self._armed.append(_Armed(fault))

    def from_text(self, text: str) -> list[Fault]:
        """Switch on the faults in a text with one fault in each line. If a line is wrong, switch no fault on."""
        faults = [Fault.from_text(line) for line in text.splitlines() if line.strip()]
        for fault in faults:
            self.add(fault)
        return faults

    def clear(self) -> None:
        """Switch every fault off."""
        self._armed.clear()

    def strike(self, names: Collection[str], kinds: Collection[str]) -> Fault | None:
        """Return the fault that strikes a request of these kinds, or None. Only faults with these names can strike."""
        self._armed = [one for one in self._armed if not one.spent]
        for one in self._armed:
            fault = one.fault
            if fault.name in names and (fault.on == "any" or fault.on in kinds) and one.strikes():
                self._struck[fault.name] += 1
                return fault
        return None
