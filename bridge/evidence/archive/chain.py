"""Verifies an archive: walks the chain of its manifests from the first day to the last."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bridge.errors import UNDECODABLE
from bridge.evidence.archive.day import DAY, KIND, MANIFEST, RECORDS, days_in, decode, digest_of, signed_content
from bridge.evidence.file.sign import NotSigned, opened, thumbprint
from bridge.evidence.file.verify import Check, Outcome, other_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from bridge.evidence.archive.day import Manifest


def verify_archive(
    directory: Path,
    *,
    trusted: Ed25519PublicKey | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Check]:
    """Verify each day of an archive: its file, its signature, and its link to the day before.

    This function can't notice that somebody has removed the last days. Compare the digest of the last manifest with a
    copy that you keep in another place.

    Raises:
        UnusableInput: the directory can't be read.
    """
    days = days_in(directory)
    if not days:
        return [Check(str(directory), Outcome.FAILED, "There is no manifest.")]
    walk = _Walk(directory, trusted)
    checks = []
    for number, day in enumerate(days, 1):
        checks += list(walk.day(day))
        progress(number, len(days))
    known = {f"{day}{suffix}" for day in days for suffix in (RECORDS, MANIFEST)} | {".lock"}
    strangers = sorted(path.name for path in directory.iterdir() if path.name not in known)
    checks += [Check(name, Outcome.UNCHECKED, "No manifest names this file.") for name in strangers]
    return checks + list(walk.summary(days))


class _Walk:
    def __init__(self, directory: Path, trusted: Ed25519PublicKey | None) -> None:
        self._directory = directory
        self._trusted = trusted
        self._before: Manifest | None = None
        self._digest: str | None = None
        self._keys: dict[str, None] = {}
        self._good = 0
        self._records = 0

    def day(self, day: date) -> Iterator[Check]:
        """Yield a failed check for each fault of a day."""
        name = f"{day}{MANIFEST}"
        before, self._before = self._before, None
        try:
            content = (self._directory / name).read_bytes()
            one = decode(content)
        except OSError as error:
            yield Check(name, Outcome.FAILED, f"The file can't be read: {error.strerror}.")
            self._digest = None
            return
        except UNDECODABLE as error:
            yield Check(name, Outcome.FAILED, f"The file was changed: {error}.")
            self._digest = hashlib.sha256(content).hexdigest()
            return
        wrong = [*self._links(one.manifest, before, day), *self._signed(one.signature, one.manifest)]
        yield from (Check(name, Outcome.FAILED, text) for text in wrong)
        file = list(self._file(one.manifest))
        yield from (Check(f"{day}{RECORDS}", Outcome.FAILED, text) for text in file)
        if not wrong and not file:
            self._good += 1
            self._records += one.manifest.records
        self._before, self._digest = one.manifest, hashlib.sha256(content).hexdigest()

    def _links(self, manifest: Manifest, before: Manifest | None, day: date) -> Iterator[str]:
        if manifest.day != day:
            yield f"This file has the manifest of another day, {manifest.day}."
        if manifest.previous != self._digest:
            yield "This manifest does not follow the previous manifest, which was changed, removed or added."
        if before is None:
            return
        if before.day + DAY != manifest.day:
            yield f"The days between {before.day} and {manifest.day} are missing."
        ends = {(one.topic, one.partition): one.until for one in before.partitions}
        for one in manifest.partitions:
            end = ends.get((one.topic, one.partition), one.since)
            if one.since != max(end, one.first):
                yield f"{one.topic}/{one.partition} begins at offset {one.since}; the day before ended at {end}."

    def _signed(self, signature: str, manifest: Manifest) -> Iterator[str]:
        try:
            content, key = opened(signature, KIND)
        except NotSigned as error:
            yield f"{str(error).capitalize()}."
            return
        self._keys[thumbprint(key)] = None
        if content != signed_content(manifest):
            yield "The signature is over another manifest."
        if self._trusted is not None and thumbprint(key) != thumbprint(self._trusted):
            yield other_key(key, self._trusted)

    def _file(self, manifest: Manifest) -> Iterator[str]:
        path = self._directory / f"{manifest.day}{RECORDS}"
        try:
            changed = path.stat().st_size != manifest.size or digest_of(path) != manifest.sha256
        except OSError as error:
            yield f"The file can't be read: {error.strerror}."
            return
        if changed:
            yield "The file was changed: its SHA-256 is not the one in the manifest."

    def summary(self, days: list[date]) -> Iterator[Check]:
        """Yield the result for the whole archive."""
        whole = self._good == len(days)
        text = (
            f"Unchanged days: {self._good} of {len(days)}, from {days[0]} to {days[-1]}. Records in them: "
            f"{self._records:,}. SHA-256 of the last manifest: {self._digest}."
        )
        yield Check("chain", Outcome.OK if whole else Outcome.FAILED, text)
        if whole and self._trusted is None:
            keys = ", ".join(self._keys)
            text = f"Signed by the key {keys}. Compare it with the thumbprint that the key's owner publishes."
            if len(self._keys) > 1:
                text = f"Signed by the keys {keys}. Compare them with the thumbprints that the keys' owners publish."
            yield Check("signatures", Outcome.UNCHECKED, text)
        elif whole:
            yield Check("signatures", Outcome.OK, "All manifests are signed by the given key.")
