"""The CSV file of a manifest -> recordings, and every problem of a row.

UTF-8 with or without a byte order mark, any line end, a header with at least `id,category`. Cells
are stripped, empty rows skipped, empty cells are "not given". Columns that avpipe does not know
are kept as text in `Recording.extra`; one of them has a meaning to `locate`: `video`, the id of the
video that a recording is cut from, where several recordings share one.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avpipe.errors import ManifestError
from avpipe.manifest.model import Problem
from avpipe.manifest.words import bad_name, bad_seconds, bad_url
from avpipe.types import Recording

REQUIRED = ("id", "category")
OPTIONAL = ("url", "split", "start_seconds", "stop_seconds", "licence")


class RowParser:
    """Makes recordings of rows; what is wrong with a row is collected in `problems`."""

    def __init__(self, file: str, *, categories: Sequence[str] = (), serves: bool = False) -> None:
        """
        Args:
            file: how to name the file in a problem.
            categories: the declared categories; empty: any.
            serves: the manifest serves a folder, so a `url` may be relative.
        """
        self.problems: list[Problem] = []
        self._file = file
        self._categories = tuple(categories)
        self._serves = serves
        self._first_rows: dict[str, int] = {}

    def parse(self, row: int, cells: Mapping[str, str]) -> Recording | None:
        """The recording of a row, or None if something is wrong with it.

        Args:
            row: its line in the file.
            cells: text by column, stripped.
        """
        before = len(self.problems)
        known = {name: cells.get(name, "") for name in (*REQUIRED, *OPTIONAL)}
        extra = {name: text for name, text in cells.items() if text and name not in known}
        for name, text in (*known.items(), ("video", extra.get("video", ""))):
            is_name = name in REQUIRED or (text and name in ("split", "video"))
            if is_name and (reason := bad_name(text)):
                self.problem(row, name, text, reason)
        if self._categories and known["category"] not in self._categories:
            declared = ", ".join(self._categories)
            text = f"is not a declared category; declared are {declared}"
            self.problem(row, "category", known["category"], text)
        if known["url"] and (reason := bad_url(known["url"], relative=self._serves)):
            self.problem(row, "url", known["url"], reason)
        start, stop = self._times(row, known["start_seconds"], known["stop_seconds"])
        first = self._first_rows.setdefault(known["id"], row)
        if first != row:
            self.problem(row, "id", known["id"], f"stands in row {first} already; remove one")
        if len(self.problems) > before:
            return None
        return Recording(
            id=known["id"],
            category=known["category"],
            url=known["url"] or None,
            split=known["split"] or None,
            start_seconds=start,
            stop_seconds=stop,
            licence=known["licence"] or None,
            extra=extra,
        )

    def problem(self, row: int | None, key: str, value: str | None, text: str) -> None:
        """Notes what is wrong with a row."""
        self.problems.append(Problem(self._file, row, key, value, text))

    def _times(self, row: int, start: str, stop: str) -> tuple[float | None, float | None]:
        """Either may be empty: an open end is the recording's own."""
        given = (("start_seconds", start), ("stop_seconds", stop))
        wrong = [(name, text, bad_seconds(text)) for name, text in given if text]
        for name, text, reason in wrong:
            if reason:
                self.problem(row, name, text, reason)
        if any(reason for *_, reason in wrong):
            return None, None
        if stop and float(stop) <= float(start or 0):
            text = f"must be after start_seconds = {start or 0}"
            self.problem(row, "stop_seconds", stop, text)
        return float(start) if start else None, float(stop) if stop else None


def read_rows(path: Path, parser: RowParser, columns: Sequence[str] = ()) -> list[Recording]:
    """The recordings of a CSV file's rows; what is wrong with a row goes to the parser.

    Args:
        columns: further columns that must be there.

    Raises:
        ManifestError: the file cannot be read as a table at all.
    """
    parsed = (parser.parse(row, cells) for row, cells in _rows(path, parser, columns))
    recordings = [recording for recording in parsed if recording is not None]
    if not recordings and not parser.problems:
        parser.problem(None, "recordings", None, "the file has a header and no rows")
    return recordings


def _rows(
    path: Path, parser: RowParser, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of every row that is not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = [name.strip() for name in next(lines, [])]
            _check_header(path, header, columns)
            last = lines.line_num
            for line in lines:
                row, last = last + 1, lines.line_num
                cells = [cell.strip() for cell in line]
                if not any(cells):
                    continue
                if len(cells) < len(header) or any(cells[len(header) :]):
                    text = f"the row has {len(cells)} cells, the header {len(header)}"
                    text += ": quote those with commas"
                    parser.problem(row, "row", ",".join(cells), text)
                    continue
                yield row, dict(zip(header, cells, strict=False))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8"
        ) from error
    except csv.Error as error:
        raise ManifestError(f"{path} row {lines.line_num}: not CSV: {error}") from error


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    required = (*REQUIRED, *columns)
    for name in required:
        if name not in header:
            near = [other for other in header if other.lower() == name]
            hint = f" (write {near[0]!r} in small letters)" if near else ""
            if len(header) == 1 and re.search("[;\t]", header[0]):
                hint = " (put commas between the cells)"
            raise ManifestError(
                f"{path} row 1: column {name!r} is missing{hint}; required are"
                f" {', '.join(required)}; optional {', '.join(OPTIONAL)} and others"
            )
    twice = [name for i, name in enumerate(header) if name in header[:i]]
    if twice or "" in header:
        what = f"column {twice[0]!r} stands twice" if twice else "a column has no name"
        raise ManifestError(f"{path} row 1: {what} in the header")
