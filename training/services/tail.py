"""Reads a file of JSON lines while another process writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

CHUNK_BYTES = 1_000_000
ANCHOR_BYTES = 200


class JsonLinesTail:
    """Reads on from where it stopped; half a line waits for its end.

    A writer that resumes may cut the file back and write on. The bytes before our place are then
    others (each line holds its time), so all is read again, and `rewound` says so until it is
    set back by whoever reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rewound = True
        self._offset = 0
        self._anchor = b""

    def read(self) -> list[dict[str, Any]]:
        """The next lines, about a megabyte at most; none when there is nothing new."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            if not self._is_where_we_were(file):
                self._rewind()
            file.seek(self._offset)
            chunk = file.read(CHUNK_BYTES)
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._anchor = (self._anchor + whole)[-ANCHOR_BYTES:]
        return [json.loads(line) for line in whole.splitlines() if line.strip()]

    def _is_where_we_were(self, file: BinaryIO) -> bool:
        file.seek(self._offset - len(self._anchor))
        return file.read(len(self._anchor)) == self._anchor

    def _rewind(self) -> None:
        self._offset = 0
        self._anchor = b""
        self.rewound = True
