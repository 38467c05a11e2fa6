"""The report of a built dataset: one HTML file that needs nothing else."""

from pathlib import Path

from avpipe.dataset import open_dataset
from avpipe.manifest import Manifest
from avpipe.report.facts import read_facts
from avpipe.report.page import render
from avpipe.report.sheet import contact_sheet
from avpipe.shards.publish import published

FAILURES = 200
"""Of a class, at most so many are listed."""
CREDITS = 5000


def write_report(out: Path, manifest: Manifest, target: Path) -> None:
    """Writes the report of the dataset in `out`; the same dataset gives the same bytes.

    Raises:
        DatasetError: the dataset or the report cannot be read or written.
    """
    dataset = open_dataset(out)
    text = render(
        "dataset",
        facts=read_facts(out, manifest),
        tiles=list(contact_sheet(dataset)),
        most_failures=FAILURES,
        most_credits=CREDITS,
        images="data:",
    )
    with published(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
