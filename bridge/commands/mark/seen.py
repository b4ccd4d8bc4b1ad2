"""The records that a list has named so far."""

from __future__ import annotations

import sqlite3


class SeenRecords:
    """Remembers each record's first row, in a private temporary database: memory stays bounded for any list."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE seen (identity BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")

    def first(self, identity: bytes, row: int) -> int:
        """Return the first row that named the record: this one, or an earlier one."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (identity, row))
        if added.rowcount:
            return row
        return int(self._database.execute("SELECT row FROM seen WHERE identity = ?", (identity,)).fetchone()[0])
