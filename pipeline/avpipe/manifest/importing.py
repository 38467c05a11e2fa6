"""A list of ids or URLs -> a manifest that builds.

    import_list("ids.txt", like="solos")      writes ids.toml and ids.csv
    import_list("clips/", like="musdb18")     a folder of media is its own source

The parameters are those of another dataset. A row that cannot be used is a `Problem` that names it;
the rest becomes the manifest, which is read back before it is given out.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from avpipe.errors import UsageError
from avpipe.manifest import toml
from avpipe.manifest.lists import Row, read_list
from avpipe.manifest.model import Manifest, Problem
from avpipe.manifest.reading import read_definition, read_manifest
from avpipe.manifest.rows import OPTIONAL, REQUIRED, RowParser
from avpipe.manifest.schema import schema
from avpipe.manifest.words import YOUTUBE_ID, bad_source

DEFAULT_CATEGORY = "music"

_YOUTUBE = re.compile(
    r"(?:(?:www|m|music)\.)?(?:youtube\.com|youtube-nocookie\.com|youtu\.be)/", re.IGNORECASE
)
_NO_YOUTUBE_ID = (
    "is no YouTube id (11 of A-Z a-z 0-9 _ -); it is kept: correct it or build with --source"
)
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+/")
_YOUTUBE_FOLDERS = frozenset({"", "watch", "shorts", "embed", "live", "v"})


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made of a list."""

    manifest: Manifest
    problems: tuple[Problem, ...]
    """Rows that were left out because they cannot be used, or kept with a doubt."""
    other_labels: int
    """Rows left out because none of their labels is a category of the dataset."""


def import_list(
    path: str | Path,
    *,
    like: str | Path = "solos",
    name: str | None = None,
    out: str | Path = ".",
    category: str = DEFAULT_CATEGORY,
    source: str | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> Imported:
    """Writes `<out>/<name>.toml` and `<out>/<name>.csv` from a list.

    Args:
        path: the list, in one of the forms of `avpipe.manifest.lists`.
        like: the dataset whose parameters, fields and labels the new one takes.
        name: of the new dataset; by default the list's file name in small letters.
        out: folder for the two files.
        category: of rows that name none.
        source: where the media is, as in a manifest, but a path is seen from the working folder;
            by default the folder itself, or YouTube.
        licence: of the media; by default what the other dataset says, if its media are from there
            too or it comes without a list.
        overwrite: replace files that are there.

    Raises:
        UsageError: the list or the other dataset cannot be used, or a file is there already.
    """
    path = Path(path).expanduser()
    model = read_definition(like)
    name = name or re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")
    if not re.fullmatch(schema()["properties"]["name"]["pattern"], name):
        raise UsageError(f"--name {name!r}: must be small letters, digits, - and _, as in solos-2")
    if Path(out).suffix in (".csv", ".toml"):
        raise UsageError(f"--out {out} is to be a folder; the name of the files is --name")
    toml_file, csv_file = (Path(out).expanduser() / f"{name}.{kind}" for kind in ("toml", "csv"))
    if csv_file.resolve() == path.resolve():
        raise UsageError(
            f"the manifest's list would be {csv_file} itself: give it another --name, or a folder"
            " with --out"
        )
    there = [str(file) for file in (toml_file, csv_file) if file.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]} is there already: choose another --name, or --overwrite")
    source = source or (str(path.resolve()) if path.is_dir() else "youtube")
    if reason := bad_source(source):
        raise UsageError(f"--source {source!r} {reason}")
    if source != "youtube" and "://" not in source:
        source = str(Path(source).expanduser().absolute())
    like_its_own = model.bring_list is not None or source == model.source
    listed = list(read_list(path))
    rows, other_labels = _labelled(listed, model.labels)
    parser = RowParser(str(path))
    rows = _usable(parser, rows, category, youtube=source == "youtube")
    if not rows:
        reason = "no row has a known label" if listed else "it has no row"
        reason = str(parser.problems[0]) if parser.problems else reason
        raise UsageError(f"nothing in {path} can be used: {reason}")
    toml_file.parent.mkdir(parents=True, exist_ok=True)
    write_csv(csv_file, rows)
    definition = {
        "name": name,
        "title": f"Recordings of {path.name}",
        "licence": licence or (model.licence if like_its_own else "not stated"),
        "citation": f"list {path.name}",
        "source": source,
        "recordings": csv_file.name,
        **_parameters(model),
    }
    toml_file.write_text(toml.write(definition), encoding="utf-8")
    return Imported(read_manifest(toml_file), tuple(parser.problems), other_labels)


def _labelled(rows: Iterable[Row], labels: Mapping[str, str]) -> tuple[list[Row], int]:
    """The rows whose labels name a category, and how many do not."""
    if not labels:
        return list(rows), 0
    kept, others = [], 0
    for number, row in rows:
        given = {label.strip() for label in row.get("labels", "").split(",")}
        known = [category for label, category in labels.items() if label in given]
        if known:
            kept.append((number, {**row, "category": known[0]}))
        elif row.get("category") in labels.values():
            kept.append((number, row))
        else:
            others += 1
    return kept, others


def _usable(parser: RowParser, rows: list[Row], category: str, *, youtube: bool) -> list[Row]:
    """Rows with id and category; those that cannot be used go to the parser's problems."""
    named = [(number, _named({"category": category} | _given(row))) for number, row in rows]
    times_of = Counter(row["id"] for _, row in named)
    usable = []
    for number, row in named:
        if times_of[row["id"]] > 1 and row.get("start_seconds"):
            # Several segments of one video: each is a recording of its own.
            segment = f"{row['id']}_{row['start_seconds']}_{row.get('stop_seconds', '')}"
            row = {"video": row["id"], **row, "id": segment}
        if length := row.pop("wrong_length", ""):
            parser.problem(number, "row", row["id"], length)
        elif parser.parse(number, row) is not None:
            usable.append((number, row))
            video = row.get("video", row["id"])
            if youtube and not row.get("url") and not YOUTUBE_ID.fullmatch(video):
                parser.problem(number, "id", video, _NO_YOUTUBE_ID)
    return usable


def _given(row: Mapping[str, str]) -> dict[str, str]:
    """The cells that are not empty."""
    return {name: text for name, text in row.items() if text}


def _named(row: Mapping[str, str]) -> dict[str, str]:
    """The row with an id: its own, that of the YouTube video, or the file name in the URL."""
    word, url = row.get("id", ""), row.get("url", "")
    if "://" in word or _YOUTUBE.match(word):
        word, url = "", word
    rest = {name: text for name, text in row.items() if name not in ("id", "url")}
    if not url:
        return {"id": word, **rest}
    url = f"https://{url}" if _HOST.match(url) else url
    video = youtube_id(url)
    if video is None:
        return {"id": word or Path(unquote(urlsplit(url).path)).stem, "url": url, **rest}
    return {"id": word or video, **({"video": video} if word not in ("", video) else {}), **rest}


def youtube_id(url: str) -> str | None:
    """The id in any of the forms of a YouTube address; None if it is none."""
    if not _YOUTUBE.match(url.partition("://")[2]):
        return None
    parts = urlsplit(url)
    query = parse_qs(parts.query).get("v", [])
    tail = [part for part in parts.path.split("/") if part not in _YOUTUBE_FOLDERS]
    return next(iter(query or tail), None)


def _parameters(model: Manifest) -> dict[str, Any]:
    """What a manifest takes over from another one."""
    return {
        "fps": model.fps,
        "sample_rate": model.sample_rate,
        "fields": list(model.fields),
        "allow_missing": list(model.allow_missing),
        "keep": model.keep,
        **({"require_licence": model.require_licence} if model.require_licence else {}),
        **({"labels": model.labels} if model.labels else {}),
        **model.tables,
    }


def write_csv(path: Path, rows: list[Row]) -> None:
    """The rows with the columns that any of them uses, avpipe's own first."""
    used = dict.fromkeys(name for _, row in rows for name, text in row.items() if text)
    further = [name for name in used if name not in (*REQUIRED, *OPTIONAL)]
    columns = [*REQUIRED, *(name for name in OPTIONAL if name in used), *further]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows([row.get(name, "") for name in columns] for _, row in rows)
