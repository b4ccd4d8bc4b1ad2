"""Evidence: a signed file with all records that Kafka has about a request.

`EvidenceMaker.collect` returns the bundle of one operation. `verify` checks the file of a bundle, and finds every later
change of the file.
"""

from bridge.evidence.archive.chain import verify_archive
from bridge.evidence.archive.day import KIND as ARCHIVE_KIND
from bridge.evidence.archive.source import ArchiveSource
from bridge.evidence.archive.write import Archiver
from bridge.evidence.bundle import Bundle
from bridge.evidence.file.document import decode
from bridge.evidence.file.sign import public_key, signer_of, thumbprint
from bridge.evidence.file.timestamps import certificates
from bridge.evidence.file.verify import Check, Outcome, verify
from bridge.evidence.maker import EvidenceMaker, sealed
from bridge.evidence.page import page
from bridge.evidence.sources import KafkaSource, Source
from bridge.evidence.still_in_kafka import still_in_kafka
from bridge.evidence.wording import counted

__all__ = [
    "ARCHIVE_KIND",
    "ArchiveSource",
    "Archiver",
    "Bundle",
    "Check",
    "EvidenceMaker",
    "KafkaSource",
    "Outcome",
    "Source",
    "certificates",
    "counted",
    "decode",
    "page",
    "public_key",
    "sealed",
    "signer_of",
    "still_in_kafka",
    "thumbprint",
    "verify",
    "verify_archive",
]
