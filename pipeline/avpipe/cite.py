"""What to cite and whom to credit for a dataset: BibTeX, and a line per recording that was used."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avpipe import __version__, detectors
from avpipe.ledger import FILE, Ledger
from avpipe.manifest import Manifest
from avpipe.store import Store
from avpipe.types import Recording

_AVPIPE = f"""\
@software{{avpipe,
  title   = {{avpipe: audio-visual music datasets, and the separators trained on them}},
  version = {{{__version__}}}
}}"""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Credit for one recording."""

    recording: str
    licence: str
    title: str | None
    author: str | None
    """Who is to be credited: column `credit`, else the channel that published it."""
    source: str | None
    """Where it is from: column `source`, else its page."""

    def __str__(self) -> str:
        parts = [f'"{self.title}"' if self.title else self.recording]
        parts += [f"by {self.author}"] if self.author else []
        parts += [self.licence, *([self.source] if self.source else [])]
        return " ".join(", ".join(parts).split())


@dataclass(frozen=True)
class Citations:
    """What to cite for a dataset."""

    bibtex: tuple[str, ...]
    """One entry each: the dataset, the detectors that were used, avpipe."""
    attributions: tuple[Attribution, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def as_text(self) -> str:
        """BibTeX entries and, as its comments, the attributions: a file that BibTeX reads."""
        credits = [f"% {attribution}" for attribution in self.attributions]
        return "\n\n".join([*self.bibtex, *(["\n".join(credits)] if credits else [])])


def cite(manifest: Manifest, out: Path | None = None) -> Citations:
    """What to cite for a dataset.

    Args:
        manifest: the dataset.
        out: folder it was built in: only what was used is credited, with what the sites said of
            it. None: everything that the manifest lists and credits.

    Raises:
        DatasetError: the folder's ledger cannot be read.
    """
    entries = [_entry(manifest)]
    if out is None:
        named = (_attribution(manifest, r, {}) for r in manifest.recordings if "credit" in r.extra)
        return Citations((*entries, _AVPIPE), tuple(named))
    with Ledger(out / FILE) as ledger:
        complete = ledger.complete()
    used = {name: summary for name, summary in complete.items() if summary["segments"]}
    store = Store(out / "work")
    attributions = tuple(
        _attribution(manifest, recording, _page(store, used[recording.id]))
        for recording in manifest.recordings
        if recording.id in used
    )
    return Citations((*entries, *_detectors(used.values()), _AVPIPE), attributions)


def _entry(manifest: Manifest) -> str:
    text = manifest.citation.strip()
    if text.startswith("@"):
        return text
    return f"@misc{{{manifest.name},\n  title = {{{manifest.title}}},\n  note  = {{{text}}}\n}}"


def _detectors(summaries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Citations of the detectors that found keypoints."""
    found = {s["detector"].get("detector") for s in summaries if s["topologies"]}
    known = sorted(found & set(detectors.names()))
    entries = (getattr(detectors.module(name), "CITATION", None) for name in known)
    return [entry.strip() for entry in entries if entry]


def _page(store: Store, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the site said of a recording; empty if the download is not kept."""
    key = summary["keys"].get("download")
    path = store.path("download", key) / "info.sidecar.json" if key else None
    return dict(json.loads(path.read_text())) if path is not None and path.is_file() else {}


def _attribution(manifest: Manifest, recording: Recording, page: Mapping[str, Any]) -> Attribution:
    # A manifest that serves its own media has addresses that mean nothing to others.
    page = {} if manifest.serve is not None else page
    return Attribution(
        recording=recording.id,
        licence=recording.licence or page.get("license") or manifest.licence,
        title=page.get("title"),
        author=recording.extra.get("credit") or page.get("channel") or page.get("uploader"),
        source=recording.extra.get("source") or page.get("webpage_url") or recording.url,
    )
