"""The Java bridge (benchmarks/java) as a candidate, in three ways of working."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.candidates.candidate import Command
from benchmarks.measuring.process import ROOT
from benchmarks.measuring.site import PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measuring.site import Site

_BUILD: Final = ROOT / "benchmarks" / "java" / ".build"
_CLASSPATH: Final = f"{_BUILD / 'classes'}:{_BUILD / 'jars' / '*'}"


@dataclass(frozen=True)
class Java:
    """CometD's client and Kafka's producer, with their own defaults and the JVM's but for `options`."""

    name: str
    options: tuple[str, ...] = ()
    transactions: bool = False
    """Whether each CometD reply is one transaction, with the position in it."""

    def commands(self, site: Site, prefix: str) -> Sequence[Command]:
        """One JVM."""
        options = [*self.options, *([f"-Dproducer.transactional.id={prefix}.java"] if self.transactions else [])]
        url = f"{site.web_services.url}/api/v2/notifications"
        arguments = [url, USER, PASSWORD, site.kafka.bootstrap, prefix]
        return [Command(["java", *options, "-cp", _CLASSPATH, "peer.JavaBridge", *arguments])]

    async def is_ready(self, site: Site, outputs: Sequence[str]) -> bool:  # noqa: ARG002 -- its output is enough
        """Whether it has said so: it is subscribed, and Kafka has answered."""
        return all("ready\n" in output for output in outputs)


LINGER: Final = "-Dproducer.linger.ms=2"
TUNING: Final = (
    "-Xmx256m",
    "-XX:+UseParallelGC",
    "-Djackson=true",
    "-Dproducer.linger.ms=5",
    "-Dproducer.batch.size=131072",
)
"""What somebody who wants throughput would set: less memory, another collector, a faster parser, larger batches."""
JAVA: Final = Java("Java", (LINGER,))
JAVA_TUNED: Final = Java("Java, tuned", TUNING)
JAVA_TRANSACTIONS: Final = Java("Java, transactions", (LINGER,), transactions=True)
