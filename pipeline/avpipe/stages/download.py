"""download: the recording's media file, as its source has it.

In:  the recording's URL, or a folder or file on this machine.
Out: `media.<ext>`, `scan.json` (what it holds) and `info.sidecar.json` (what its site says of it);
     `track-<number>-<name>.<ext>` for the tracks of a mixture that is a folder.

What was cut off goes on where it ended, in the next attempt or build. A file that is not whole is
fetched once more, anew: the very same bytes again mean that the source is broken, other bytes that
the way was.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avpipe.errors import FailureClass, RecordingFailed, UsageError
from avpipe.fetch import folder, licences, partial, tracks
from avpipe.fetch.address import without_password
from avpipe.fetch.options import Options
from avpipe.fetch.partial import Partial
from avpipe.fetch.web import fetch
from avpipe.media import Scan, scan
from avpipe.stages import Facts, Job, Pool
from avpipe.types import Recording

NEEDS: tuple[str, ...] = ()
POOL: Pool = "net"
VERSION = 1
Config = Options

_FORMAT_ID = re.compile(r"[A-Za-z0-9_.+-]+")
"""Format of its site that the manifest, or a lock, asks for in the column `format_id`."""
_SHORTER_SECONDS = 2.0
_SHORTER_SHARE = 0.02
"""A site rounds the duration it announces: less than this is not missing."""
_SMALLER_SHARE = 0.05
"""Putting a stream into another container, as yt-dlp may do, costs or saves less than this."""


def tool(config: Options) -> Facts:
    """Nothing: a download is kept whatever made it."""
    return {}


def admission(config: Options) -> Callable[[Recording, Mapping[str, Any]], None] | None:
    """What came before a licence was required needs that licence as well."""
    if config.require_licence is None:
        return None

    def admit(recording: Recording, facts: Mapping[str, Any]) -> None:
        stated = recording.licence or facts.get("licence") or config.licence
        licences.require(config.require_licence, stated)

    return admit


def run(job: Job) -> Facts:
    """Fetches, scans and keeps the media file.

    Raises:
        RecordingFailed: of every class but `no_video` and `no_audio`.
        UsageError: the recording has no source.
    """
    url = job.recording.url
    if not url:
        raise UsageError(f"{job.recording.id} has no url, and its dataset no source")
    if job.recording.licence:
        licences.require(job.config.require_licence, job.recording.licence)
        job = replace(job, config=replace(job.config, require_licence=None))
    if _FORMAT_ID.fullmatch(format_id := job.recording.extra.get("format_id", "")):
        job = replace(job, config=replace(job.config, format=f"{format_id}/{job.config.format}"))
    if url.startswith(("http://", "https://")):
        found = _from_web(job, url)
    else:
        licences.require(job.config.require_licence, job.config.licence)
        found = _from_folder(job, Path(url))
    if found.sha256 in job.config.refused:
        raise RecordingFailed(
            FailureClass.REMOVED, "it has the bytes of a recording that was removed on request"
        )
    found.scan.write(job.out)
    text = json.dumps(found.info, indent=1, sort_keys=True, ensure_ascii=False)
    (job.out / "info.sidecar.json").write_text(text + "\n")
    return {
        "url": without_password(url),
        "bytes": found.scan.bytes,
        "sha256": found.sha256,
        "format_id": found.info.get("format_id"),
        "licence": found.info.get("license"),
        "yt_dlp": found.info.get("yt_dlp"),
    }


@dataclass(frozen=True, slots=True)
class _Found:
    """A media file, and what is known of it."""

    path: Path
    info: Mapping[str, Any]
    scan: Scan
    sha256: str
    failure: FailureClass | None
    """Why it cannot be used."""
    reason: str


def _from_web(job: Job, url: str) -> _Found:
    with _arrival(job, url) as arrival:
        found = _attempt(job, url, arrival)
        if found.failure:
            arrival.clear()
            again = _attempt(job, url, arrival)
            if again.failure:
                same = found.sha256 == again.sha256
                raise RecordingFailed(again.failure, again.reason, permanent=same)
            found = again
        found.path.rename(_target(job, found.path))
        arrival.clear()
    return found


@contextmanager
def _arrival(job: Job, url: str) -> Iterator[Partial]:
    """Where the file arrives, on the file system of the store, with what arrived of it before."""
    with ExitStack() as stack:
        try:
            place = job.partial or _passing(job, stack)
            arrival = stack.enter_context(partial.hold(place, job.recording, url))
        except BlockingIOError:  # a worker that is given up for lost is still at it
            place = _passing(job, stack)
            arrival = stack.enter_context(partial.hold(place, job.recording, url))
        yield arrival


def _passing(job: Job, stack: ExitStack) -> Path:
    """A folder that goes with this attempt."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(dir=job.out)))


def _attempt(job: Job, url: str, arrival: Partial) -> _Found:
    with tempfile.TemporaryDirectory(dir=job.out) as private:
        fetched = fetch(url, arrival, Path(private), job.config)
    return _examine(fetched.path, fetched.info, job.config)


def _from_folder(job: Job, place: Path) -> _Found:
    if (place / job.recording.id).is_dir():
        piece = tracks.find(place / job.recording.id)
    else:
        piece = tracks.beside(folder.find(place, job.recording))
    if piece.tracks:  # now, for what is kept is never fetched again
        declared = job.recording.extra.get("instruments", "")
        tracks.names([name for name, _ in piece.tracks], declared)
    source = piece.mixture
    for number, (name, path) in enumerate(piece.tracks, start=1):
        folder.link(path, job.out / tracks.linked_name(number, name, path))
    found = _examine(source, {"extractor": "folder", "file": source.name}, job.config)
    if found.failure:
        raise RecordingFailed(found.failure, found.reason, permanent=True)
    folder.link(source, _target(job, source))
    return found


def _target(job: Job, source: Path) -> Path:
    """`media.<ext>` with the extension of the source, if it is one."""
    extension = source.suffix.lower()
    return job.out / f"media{extension if re.fullmatch(r'[.][a-z0-9]{1,8}', extension) else ''}"


def _examine(path: Path, info: Mapping[str, Any], options: Options) -> _Found:
    """Scans the file, and compares it with what its site announced."""
    found = scan(path, options.limits)
    failure, reason = None, ""
    if found.verdict != "good":
        failure, reason = FailureClass(found.verdict), found.reason
    elif _is_shorter(found.end_seconds, info.get("duration")):
        failure = FailureClass.TRUNCATED
        reason = f"it ends at {found.end_seconds:.1f} s, its site announced {info['duration']} s"
    elif _is_smaller(found.bytes, info):
        failure = FailureClass.TRUNCATED
        reason = f"it has {found.bytes:,} bytes, its site announced {info['filesize']:,}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _Found(path, info, found, digest, failure, reason)


def _is_smaller(size: int, info: Mapping[str, Any]) -> bool:
    """True if a file that came in one piece is not of the size that its site announced."""
    whole = info.get("protocol") in ("http", "https") and "+" not in info.get("format_id", "")
    return whole and size < (1 - _SMALLER_SHARE) * (info.get("filesize") or 0)


def _is_shorter(seconds: float, announced: float | None) -> bool:
    """True if more is missing than the rounding of an announced duration explains."""
    allowed = max(_SHORTER_SECONDS, _SHORTER_SHARE * (announced or 0))
    return announced is not None and announced - seconds > allowed
