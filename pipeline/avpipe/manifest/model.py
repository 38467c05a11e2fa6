"""What a manifest says, as values: `Manifest`, and `Problem` for what is wrong with one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from avpipe.types import Recording

Keep = Literal["source", "video", "none"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a manifest. `str()` is the line a person reads."""

    file: str
    row: int | None
    """Line of the file, counted from 1; None where the problem has no line."""
    key: str
    """Key of the TOML file or column of the CSV file."""
    value: Any
    """What stands there; None if nothing does."""
    text: str
    """What is wrong, what is allowed and, where it is not plain, what to do."""

    def __str__(self) -> str:
        row = "" if self.row is None else f" row {self.row}"
        value = "" if self.value is None else f" = {_short(self.value)}"
        return f"{self.file}{row}: {self.key}{value}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset as its manifest defines it."""

    path: Path
    """The TOML file; other paths of the manifest are relative to its folder."""
    name: str
    title: str
    licence: str
    """Licence of the media, as text; a recording's own `licence` wins over it."""
    citation: str
    """How to cite the dataset: text or BibTeX."""
    recordings: tuple[Recording, ...]
    """In the order of the CSV file; ids are unique."""
    fps: float
    """Frames per second of the dataset's grid."""
    sample_rate: int
    """Hz."""
    fields: tuple[str, ...]
    """What is made of a recording: `audio`, `skeleton`, ..."""
    source: str | None = None
    """`youtube`, a URL template with {id}, {video} or {category}, an absolute folder, or an
    absolute path with {id} or {video}; None where the user says with `--source` where files are."""
    list_licence: str | None = None
    """Licence of the list itself where it is not that of the media."""
    homepage: str | None = None
    notes: str | None = None
    """What a user should know: differences from the publication, where to get a list."""
    bring_list: str | None = None
    """Where a user gets the list of a dataset whose list cannot be shipped; None if it is."""
    categories: tuple[str, ...] = ()
    """The declared categories, or else those that occur, in the order of the list."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Label of the source -> category, for importing a list (AudioSet's `/m/...`)."""
    split: Mapping[str, Any] = field(default_factory=dict)
    """Rule that gave recordings without a published split theirs: `parts`, `by`, `seed`."""
    allow_missing: tuple[str, ...] = ()
    """What a recording may lack without failing: `audio`, `video`."""
    list_file: Path | None = None
    """The CSV file; None if `bring_list`."""
    serve: Path | None = None
    """Folder of shipped media that a build serves on a loopback web server while it runs; a row's
    relative `url` is relative to it."""
    keep: Keep = "source"
    """What stays on disk after packing: the download, the resampled video, or neither."""
    require_licence: str | None = None
    """Pattern (`CC*`) that a recording's licence must match before its media is fetched."""
    reference: Path | None = None
    """Released segments to compare with; `avpipe.manifest.reference` reads them."""
    published: Mapping[str, Any] = field(default_factory=dict)
    """Published statistics to compare with, as `avpipe.stats` reads them."""
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Parameters of the stages as written; each stage's Config checks its own."""
    skipped: tuple[Problem, ...] = ()
    """Rows left out because they are wrong, if the reader was asked to go on without them."""

    def __repr__(self) -> str:
        return f"Manifest({self.name}, {len(self.recordings)} recordings)"

    def table(self, stage: str) -> Mapping[str, Any]:
        """Parameters that the manifest gives for a stage (or `limits`); empty if none."""
        return self.tables.get(stage, {})


def _short(value: Any, length: int = 80) -> str:
    """A value on one line, escaped and cut, so that a hostile one cannot fill a terminal."""
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else f'"{value}"'
    return text if len(text) <= length else f"{text[:length]}..."
