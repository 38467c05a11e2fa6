"""How far a dataset is, from its ledger and what it has published."""

from collections import Counter
from pathlib import Path
from typing import Any

from avpipe.dag import LINE
from avpipe.ledger import FILE, Ledger


def read_status(out: Path) -> dict[str, Any]:
    """Facts about a dataset's folder; can be read while a build writes it.

    Returns:
        `stages`: stage -> recordings that have its artifact; `failures`: class -> recordings;
        `published`: counts of what the shards hold, or None.
    """
    from avpipe.shards.catalogue import NAME, read_catalogue

    stages: dict[str, int] = {}
    failures: Counter[str] = Counter()
    if (out / FILE).exists():
        with Ledger(out / FILE) as ledger:
            counts = ledger.counts()
            stages = {name: counts[name] for name in LINE if name in counts}
            failures.update(f.failure for f in ledger.failures())
    published = None
    if (out / NAME).exists():
        catalogue = read_catalogue(out)
        published = {
            **catalogue.counts,
            "files": len(catalogue.files),
            "bytes": sum(f["bytes"] for f in catalogue.files.values()),
        }
    return {"out": str(out), "stages": stages, "failures": dict(failures), "published": published}
