"""Checks what `avpipe build demo` left: the two broken recordings failed, and only those.

    python tests/check_demo.py data/demo

Exit 0 if so; 1 with what is different.
"""

import sys
from pathlib import Path

from avpipe.dataset import open_dataset
from avpipe.ledger import FILE, Ledger
from avpipe.manifest import read_manifest

EXPECTED = {"trumpet-gone": "removed", "cello-corrupt": "unreadable"}


def problems(out: Path) -> list[str]:
    """What is not as it should be."""
    with Ledger(out / FILE) as ledger:
        failed = {f.recording: f.failure for f in ledger.failures()}
        through = set(ledger.complete())
    found = []
    if failed != EXPECTED:
        found.append(f"failures are {failed}, not {EXPECTED}")
    wanted = {r.id for r in read_manifest("demo").recordings} - set(EXPECTED)
    if through != wanted:
        found.append(f"complete are {sorted(through)}, not {sorted(wanted)}")
    if not len(open_dataset(out)):
        found.append("there is no segment")
    return found


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    for problem in found:
        sys.stderr.write(f"demo: {problem}\n")
    sys.exit(bool(found))
