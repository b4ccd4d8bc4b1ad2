"""Named faults: which there are, which are switched on, and how often each has struck."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import monotonic

HTTP_FAULTS = frozenset(
    {
        "html-503",  # a balancer's page instead of the answer
        "cut-reply",  # the upstream answered, and the connection closes in the middle of the body
        "reset",  # the connection closes before any byte, and the upstream has seen nothing
        "slow",  # the request waits for `delay` seconds
        "broken-json",  # the upstream answered, and the text ends too early
        "wrong-id",  # the upstream answered, and the id of the matching meta messages is another one
        "unknown-client",  # 402 instead of the upstream's answer
        "other-node",  # 403 with statusCode 20 for a request without a password: another node doesn't know the login
        "zip-bomb",  # 1.6 MB of gzip that are 1.6 GB of blanks; the upstream has seen nothing
        "endless-body",  # blanks for as long as the client reads; the upstream has seen nothing
        "refuse-subscription",  # 403 in the subscribe reply; the upstream has seen no subscription
        "advice-none",  # the poll is refused with `reconnect: none`
        "advice-hours",  # the replies advise an interval, a timeout and a maxInterval of hours
        "odd-client-id",  # the handshake's clientId has control characters
        "odd-acknowledgement",  # the poll's `ext.ack` goes backwards
        "odd-subscription",  # beside the replies come ones to subscriptions that nobody asked for
        "unsolicited",  # beside the replies come a /meta/disconnect and a /meta/handshake that answer nothing
    }
)
REFUSALS = frozenset({"status-4", "status-20", "csrf-invalid", "forbidden-3", "forbidden-5"})
ANSWERS = frozenset({"acknowledgement-missing", "acknowledgement-doubled", "acknowledgement-late"})
REFERENCES = frozenset({"numeric-reference", "no-reference"})
OPERATION_FAULTS = REFUSALS | ANSWERS | REFERENCES
KINDS = frozenset({"handshake", "connect", "subscribe", "disconnect", "rest", "login", "any"})


@dataclass(frozen=True)
class Fault:
    """One fault to strike requests of the kind `on`.

    It passes over the first `after` such requests. Then it strikes every `every`-th request, `times` times in all
    (None: no limit). It ends `seconds` after it was added (None: never). `delay` (seconds) is how long a struck request
    waits first; for `acknowledgement-late` it is how much later the acknowledgement comes.

    Raises:
        ValueError: no such fault, or no such kind of request.
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
            raise ValueError(f"no fault {self.name!r}; there are {', '.join(sorted(HTTP_FAULTS | OPERATION_FAULTS))}")
        if self.on not in KINDS:
            raise ValueError(f"no kind of request {self.on!r}; there are {', '.join(sorted(KINDS))}")

    @classmethod
    def from_text(cls, line: str) -> "Fault":
        """Read `name[:on[:times]]`, then `seconds=`, `after=`, `delay=`, `every=`: `slow:connect:2:delay=1.5`."""
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
    """A fault that is switched on, and what it has still to do."""

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
    """The switchboard: add faults, clear them, count their strikes."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._struck: Counter[str] = Counter()

    @property
    def armed(self) -> tuple[Fault, ...]:
        """The faults that can still strike, oldest first."""
        return tuple(one.fault for one in self._armed if not one.spent)

    @property
    def struck(self) -> Mapping[str, int]:
        """How often each fault has struck since the start; `clear` keeps the counts."""
        return dict(self._struck)

    def add(self, fault: Fault) -> None:
        """Switch a fault on."""
        self._armed.append(_Armed(fault))

    def from_text(self, text: str) -> list[Fault]:
        """Switch on one fault a line (see `Fault.from_text`); all of them or, at a ValueError, none."""
        faults = [Fault.from_text(line) for line in text.splitlines() if line.strip()]
        for fault in faults:
            self.add(fault)
        return faults

    def clear(self) -> None:
        """Switch every fault off."""
        self._armed.clear()

    def strike(self, names: Collection[str], kinds: Collection[str]) -> Fault | None:
        """Let the oldest fault of these names strike a request of these kinds; None when none does."""
        self._armed = [one for one in self._armed if not one.spent]
        for one in self._armed:
            fault = one.fault
            if fault.name in names and (fault.on == "any" or fault.on in kinds) and one.strikes():
                self._struck[fault.name] += 1
                return fault
        return None
