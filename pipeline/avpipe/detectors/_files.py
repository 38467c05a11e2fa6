"""Digests of model files, computed once for as long as a file stays the same."""

from functools import cache
from pathlib import Path

from avpipe.store import sha256_file


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    facts = path.stat()
    return _sha256(path, facts.st_size, facts.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)
