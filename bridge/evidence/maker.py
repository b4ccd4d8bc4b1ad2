"""Makes evidence: collects a bundle from Kafka, signs it, and gets a time stamp."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.delivery import KAFKA_FAILURES, kafka_reason
from bridge.errors import Busy, KafkaUnavailable, UnusableInput
from bridge.evidence.collect import Collector
from bridge.evidence.file.document import KIND, document, encode, signed_content, stamped_content
from bridge.evidence.file.sign import signer_of
from bridge.evidence.file.timestamps import stamp
from bridge.evidence.sources import KafkaSource
from bridge.privacy import concealment_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bridge.delivery import ConsumedRecord
    from bridge.events import Encoding
    from bridge.evidence.bundle import Bundle, Signature
    from bridge.evidence.sources import Source
    from bridge.settings import Evidence, Settings

log = structlog.get_logger(__name__)

AT_ONCE: Final = 2
"""Maximum number of bundles that a bridge collects at the same time. Each collection reads whole partitions."""
RETRY_AFTER: Final = 5


class EvidenceMaker:
    """Makes evidence about operations. `check` checks the signature of an operation event."""

    def __init__(
        self,
        settings: Settings,
        encoding: Encoding,
        check: Callable[[ConsumedRecord, str], Awaitable[Signature]],
    ) -> None:
        self._settings = settings
        self._encoding = encoding
        self._check = check
        self._under_way = 0

    def collector(self, sources: Sequence[Source]) -> Collector:
        """Return the collector that searches these sources."""
        return Collector(
            sources,
            topic_prefix=self._settings.kafka.topic_prefix,
            phone_numbers=self._settings.privacy.phone_numbers,
            encoding=self._encoding,
            conceal=concealment_of(self._settings.privacy),
            check=self._check,
            deadline_days=self._settings.evidence.deadline_days,
        )

    async def collect(self, reference: str) -> Bundle:
        """Return the bundle of one operation, from Kafka.

        Raises:
            NoSuchEvidence: no record is about the operation.
            Busy: the bridge is already collecting `AT_ONCE` bundles.
            KafkaUnavailable, RegistryUnavailable: the records can't be read now.
        """
        if self._under_way >= AT_ONCE:
            raise Busy("The bridge collects evidence for other callers now.", retry_after=RETRY_AFTER)
        self._under_way += 1
        try:
            return await self.collector([KafkaSource(self._settings.kafka)]).collect("reference", reference)
        except KAFKA_FAILURES as error:
            raise KafkaUnavailable(kafka_reason(error, self._settings.kafka.ssl_certfile)) from None
        finally:
            self._under_way -= 1

    async def file(self, reference: str) -> bytes:
        """Return the file of the operation's bundle, signed and stamped as the settings say.

        Raises:
            TimestampRefused: the time-stamping authority can't be reached, or refuses.
            UnusableInput: the signing key can't be read any more.
            NoSuchEvidence, Busy, KafkaUnavailable, RegistryUnavailable: see `collect`.
        """
        bundle = await self.collect(reference)
        try:
            return await sealed(bundle, self._settings.evidence)
        except UnusableInput as error:
            log.warning("evidence-not-signed", reason=str(error))
            raise


async def sealed(bundle: Bundle, settings: Evidence) -> bytes:
    """Return the file of a bundle, signed and stamped as the settings say.

    Raises:
        UnusableInput: the key can't be read any more.
        TimestampRefused: the time-stamping authority can't be reached, or refuses.
        SettingsError: the settings name an authority, but the extra `evidence` is not installed.
    """
    one = await asyncio.to_thread(document, bundle)
    signer = signer_of(settings.key_file, KIND)
    if signer is not None:
        one = msgspec.structs.replace(one, signature=signer.sign(signed_content(one)))
    if settings.timestamp_url is not None:
        one = msgspec.structs.replace(one, time_stamp=await stamp(stamped_content(one), settings.timestamp_url))
    return await asyncio.to_thread(encode, one)
