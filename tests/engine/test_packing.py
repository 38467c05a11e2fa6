"""From a manifest to what the shards say of the dataset."""

from pathlib import Path

import pytest

from avpipe.engine.packing import dataset_facts
from avpipe.manifest import read_manifest

MANIFEST = """
name = "mini"
title = "Mini"
licence = "CC0-1.0"
citation = "Nobody"
source = "{source}"
fps = 25
sample_rate = 11025
fields = ["audio"]
recordings = "mini.csv"
"""


@pytest.mark.parametrize("source", ["media", "../media", "youtube", "https://example.org/{id}.mp4"])
def test_the_source_is_published_as_the_manifest_gives_it_wherever_it_lies(
    tmp_path: Path, source: str
) -> None:
    folder = tmp_path / "manifests"
    (folder / "media").mkdir(parents=True)
    (tmp_path / "media").mkdir()
    (folder / "mini.toml").write_text(MANIFEST.format(source=source))
    (folder / "mini.csv").write_text("id,category\na,Violin\n")
    manifest = read_manifest(str(folder / "mini.toml"))
    assert dataset_facts(manifest, ("audio",), []).source == source
