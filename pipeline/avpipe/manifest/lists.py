"""Other people's lists of recordings -> rows with avpipe's column names.

    folder       of media: {id}.* or {category}/{id}.*
    .txt         an id or URL a line, `#` comments
    .csv .tsv    with a header, cells between commas, tabs or semicolons; also AudioSet's (header in
                 the last comment) and Acappella's
    .json        [id, ...], [{"id": ...}, ...], {category: [id, ...]}, {category: {id: ...}}, each
                 also below "videos" (MUSIC, Solos)

A row is (line or number, {column: text}); what it means is checked by `avpipe.manifest.importing`.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from avpipe.errors import UsageError

Row = tuple[int, dict[str, str]]

MEDIA = frozenset(
    (
        *(".3gp", ".aac", ".aiff", ".avi", ".flac", ".flv", ".m4a", ".m4v", ".mkv", ".mov", ".mp3"),
        *(".mp4", ".mpeg", ".mpg", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".wav", ".webm", ".wmv"),
    )
)
"""Suffixes of files that are taken as recordings of a folder."""

_COLUMNS = {
    "id": ("id", "ytid", "youtube_id", "yt_id", "video_id", "videoid"),
    "url": ("url", "link", "webpage_url"),
    "category": ("category", "class", "instrument", "label"),
    "labels": ("labels", "positive_labels"),
    "start_seconds": ("start_seconds", "start", "start_time"),
    "stop_seconds": ("stop_seconds", "stop", "end_seconds", "end", "end_time"),
}
_NAMES = {other: name for name, others in _COLUMNS.items() for other in others}


def read_list(path: Path) -> Iterator[Row]:
    """The rows of a list, in its order.

    Raises:
        UsageError: the file is not there or not of a known form.
    """
    if path.is_dir():
        return _folder(path)
    readers = {".txt": _text, ".csv": _table, ".tsv": _table, ".json": _json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(readers)
        raise UsageError(f"{path}: a list must be {known} or a folder of media")
    try:
        return reader(path.read_text(encoding="utf-8-sig"), path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8: save it as UTF-8") from error


def _folder(path: Path) -> Iterator[Row]:
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in MEDIA and p.is_file())
    if not files:
        raise UsageError(f"{path}: holds no media files ({' '.join(sorted(MEDIA))})")
    for number, file in enumerate(files, 1):
        inside = file.relative_to(path)
        if len(inside.parts) > 2:
            yield number, {"id": str(inside)}  # refused as an id: it would not be found again
        else:
            category = {"category": inside.parts[0]} if len(inside.parts) == 2 else {}
            yield number, {"id": file.stem, **category}


def _text(text: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if word and not word.startswith("#"):
            yield number, {"id": word}


def _table(text: str, path: Path) -> Iterator[Row]:
    try:
        yield from _cells(text, path)
    except csv.Error as error:
        raise UsageError(f"{path}: not a table: {error} (a quote that is not closed?)") from error


def _cells(text: str, path: Path) -> Iterator[Row]:
    lines = text.splitlines()
    comments = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if not lines:
        return
    heading = lines[max(0, comments - 1)].lstrip("# ")
    delimiter = "," if "," in heading else next((d for d in "\t;" if d in heading), ",")
    table = csv.reader(lines[comments:], delimiter=delimiter, skipinitialspace=True, strict=True)
    header = [n.strip() for n in (heading.split(delimiter) if comments else next(table))]
    names = [_NAMES.get(_plain(name), _plain(name)) for name in header]
    for name in ("id", "url"):
        if names.count(name) > 1:
            raise UsageError(f"{path}: the header {header} names the {name} twice: keep one column")
    acappella = {"id", "init", "fin"} <= set(names)
    if not {"id", "url"} & set(names):
        known = ", ".join((*_COLUMNS["id"], *_COLUMNS["url"]))
        raise UsageError(f"{path}: the header {header} has no column of ids; known are {known}")
    for line in table:
        cells = [cell.strip() for cell in line]
        if any(cells):
            row = dict(zip(names, cells, strict=False))
            if len(cells) != len(names):
                row["wrong_length"] = (
                    f"has {len(cells)} cells, the header {len(names)}: quote those with commas"
                )
            yield comments + table.line_num, _acappella(row) if acappella else row


def _plain(name: str) -> str:
    """`Song Name` -> `song_name`."""
    return "_".join(name.lower().replace("(", " ").replace(")", " ").split())


def _json(text: str, path: Path) -> Iterator[Row]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("videos"), dict | list):
        content = content["videos"]
    if isinstance(content, list):
        items: Iterable[tuple[str | None, Any]] = ((None, item) for item in content)
    elif isinstance(content, dict) and all(isinstance(m, dict | list) for m in content.values()):
        items = ((category, item) for category, members in content.items() for item in members)
    else:
        raise UsageError(f"{path}: must be a list of ids or {{category: [id, ...]}}")
    for number, (category, item) in enumerate(items, 1):
        cells = item if isinstance(item, dict) else {"id": item}
        row = {_NAMES.get(_plain(str(k)), _plain(str(k))): _word(v) for k, v in cells.items()}
        yield number, row if category is None else {"category": category, **row}


def _word(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _acappella(row: dict[str, str]) -> dict[str, str]:
    """A row of the Acappella lists: one segment of a video, times as minute.second.

    The times are read as text: 1.2 is 1:20, 1.02 is 1:02. As numbers they lose or gain a second
    where the decimal fraction has no exact binary form. The id of a segment is its video's id and
    its times as the release writes them in `splits.json`.
    """
    start, stop = row["init"], row["fin"]
    times = [str(float(t)).replace(".", "_") if _is_time(t) else t for t in (start, stop)]
    kept = ("singer", "gender", "song_name", "comments")
    return {
        "id": f"{row['id']}_{times[0]}_to_{times[1]}",
        "video": row["id"],
        "category": row.get("language", ""),
        "start_seconds": minute_second(start),
        "stop_seconds": minute_second(stop),
        "test_group": row.get("category", ""),
        **{name: row[name] for name in kept if row.get(name)},
    }


def minute_second(text: str) -> str:
    """`1.24` -> `84`: minutes, a dot, seconds; anything else comes back as no time at all."""
    if not _is_time(text):
        return f"{text} (minute.second)"
    minutes, _, seconds = text.partition(".")
    return str(60 * int(minutes) + int(f"{seconds:0<2}"))


def _is_time(text: str) -> bool:
    minutes, _, seconds = text.partition(".")
    return (
        minutes.isdecimal()
        and len(seconds) <= 2
        and (not seconds or (seconds.isdecimal() and int(f"{seconds:0<2}") < 60))
    )
