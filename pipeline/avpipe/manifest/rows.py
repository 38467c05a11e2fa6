"""The CSV file of a manifest -> recordings, and every problem of a row.

UTF-8 with or without a byte order mark, any line end, a header with at least `id,category`. Cells
are stripped, empty rows skipped, empty cells are "not given". Columns that avpipe does not know
are kept as text in `Recording.extra`; one of them has a meaning to `locate`: `video`, the id of the
video that a recording is cut from, where several recordings share one.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from avpipe.errors import ManifestError
from avpipe.manifest.model import Problem
from avpipe.manifest.words import bad_name, bad_seconds, bad_url
from avpipe.types import Recording

REQUIRED = ("id", "category")
OPTIONAL = ("url", "split", "start_seconds", "stop_seconds", "licence")


class RowReader:
    """Reads the rows of one CSV file and collects what is wrong with them in `problems`."""

    def __init__(self, path: Path, *, categories: Sequence[str], serves: bool) -> None:
        """
        Args:
            path: the CSV file.
            categories: the declared categories; empty: any.
            serves: the manifest serves a folder, so a `url` may be relative.
        """
        self.path = path
        self.problems: list[Problem] = []
        self._categories = frozenset(categories)
        self._declared = ", ".join(categories)
        self._serves = serves
        self._first_rows: dict[str, int] = {}

    def read(self) -> list[Recording]:
        """The recordings of the rows that are right.

        Raises:
            ManifestError: the file cannot be read as a table at all.
        """
        recordings = []
        for row, cells in self._rows():
            before = len(self.problems)
            recording = self._recording(row, cells)
            if len(self.problems) == before:
                recordings.append(recording)
        if not recordings and not self.problems:
            self._problem(None, "recordings", None, "the file has a header and no rows")
        return recordings

    def _rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and cells by column of every row that is not empty."""
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                lines = csv.reader(file, strict=True)
                header = [name.strip() for name in next(lines, [])]
                self._check_header(header)
                last = lines.line_num
                for line in lines:
                    row, last = last + 1, lines.line_num
                    cells = [cell.strip() for cell in line]
                    if not any(cells):
                        continue
                    if len(cells) < len(header) or any(cells[len(header) :]):
                        text = f"the row has {len(cells)} cells, the header {len(header)}"
                        self._problem(row, "row", ",".join(cells), text)
                        continue
                    yield row, dict(zip(header, cells, strict=False))
        except OSError as error:
            raise ManifestError(f"{self.path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ManifestError(
                f"{self.path}: byte {error.start} is not UTF-8: save the file as UTF-8"
            ) from error
        except csv.Error as error:
            raise ManifestError(f"{self.path} row {lines.line_num}: not CSV: {error}") from error

    def _check_header(self, header: list[str]) -> None:
        for name in REQUIRED:
            if name not in header:
                near = [other for other in header if other.lower() == name]
                hint = f" (write {near[0]!r} in small letters)" if near else ""
                raise ManifestError(
                    f"{self.path} row 1: column {name!r} is missing{hint}; required are"
                    f" {', '.join(REQUIRED)}, optional {', '.join(OPTIONAL)} and further columns"
                )
        twice = [name for i, name in enumerate(header) if name in header[:i]]
        if twice or "" in header:
            what = f"column {twice[0]!r} stands twice" if twice else "a column has no name"
            raise ManifestError(f"{self.path} row 1: {what} in the header")

    def _recording(self, row: int, cells: dict[str, str]) -> Recording:
        known = {name: cells.pop(name, "") for name in (*REQUIRED, *OPTIONAL)}
        for name in REQUIRED:
            if reason := bad_name(known[name]):
                self._problem(row, name, known[name], reason)
        first = self._first_rows.setdefault(known["id"], row)
        if first != row:
            self._problem(row, "id", known["id"], f"stands in row {first} already; remove one")
        if self._categories and known["category"] not in self._categories:
            text = f"is not a declared category; declared are {self._declared}"
            self._problem(row, "category", known["category"], text)
        if known["url"] and (reason := bad_url(known["url"], relative=self._serves)):
            self._problem(row, "url", known["url"], reason)
        for name, text in (("split", known["split"]), ("video", cells.get("video", ""))):
            if text and (reason := bad_name(text)):
                self._problem(row, name, text, reason)
        start, stop = self._times(row, known["start_seconds"], known["stop_seconds"])
        return Recording(
            id=known["id"],
            category=known["category"],
            url=known["url"] or None,
            split=known["split"] or None,
            start_seconds=start,
            stop_seconds=stop,
            licence=known["licence"] or None,
            extra={name: text for name, text in cells.items() if text},
        )

    def _times(self, row: int, start: str, stop: str) -> tuple[float | None, float | None]:
        if not start and not stop:
            return None, None
        given = (("start_seconds", start), ("stop_seconds", stop))
        wrong = [(name, text, reason) for name, text in given if (reason := _bad_time(text))]
        for name, text, reason in wrong:
            self._problem(row, name, text, reason)
        if wrong:
            return None, None
        if float(stop) <= float(start):
            self._problem(row, "stop_seconds", stop, f"must be after start_seconds = {start}")
        return float(start), float(stop)

    def _problem(self, row: int | None, key: str, value: str | None, text: str) -> None:
        self.problems.append(Problem(str(self.path), row, key, value, text))


def _bad_time(text: str) -> str | None:
    return bad_seconds(text) if text else "is empty; give both times or none"
