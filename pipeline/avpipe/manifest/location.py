"""Where the media of a recording is: `--source` wins over a row's `url`, that over `source`."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from avpipe.errors import UsageError
from avpipe.manifest.model import Manifest
from avpipe.manifest.words import PLACEHOLDERS, bad_source
from avpipe.types import Recording

YOUTUBE = "https://www.youtube.com/watch?v={video}"


def locate(
    manifest: Manifest,
    recording: Recording,
    source: str | None = None,
    *,
    server: str | None = None,
) -> str:
    """A URL, or the absolute path of the recording's file, or that of the folder that holds it as
    `{id}.*` or `{category}/{id}.*`.

    Args:
        source: what `--source` gives: `youtube`, a URL template with {id}, {video} or
            {category}, a folder, or the path of a file with {id} or {video} in it (relative to
            the working directory). It wins over all.
        server: address of the web server that serves `manifest.serve`, e.g.
            `http://127.0.0.1:8000`; a row's relative `url` is below it.

    Raises:
        UsageError: there is no source, or it is not one.
    """
    if source is not None:
        if reason := bad_source(source):
            raise UsageError(f"--source {source!r} {reason}")
        return _from_source(source, recording)
    if recording.url is not None:
        return _absolute(recording.url, server)
    if manifest.source is not None:
        return _from_source(manifest.source, recording)
    raise UsageError(
        f"{manifest.path}: recording {recording.id!r} has no url and the manifest no source:"
        " give the folder of the files with --source DIR"
    )


def video_id(recording: Recording) -> str:
    """Id of the video that a recording is (cut from): column `video`, else its own id."""
    return recording.extra.get("video", recording.id)


def medium_id(recording: Recording) -> str:
    """Id of what is downloaded for a recording: that of its video, which recordings cut from it
    share, unless its row says by a `url` of its own where it is."""
    return recording.id if recording.url else video_id(recording)


def _from_source(source: str, recording: Recording) -> str:
    template = YOUTUBE if source == "youtube" else source
    words = dict(
        zip(PLACEHOLDERS, (recording.id, video_id(recording), recording.category), strict=True)
    )
    if "://" in template:
        # Percent-encoded, so that a value cannot bring in a placeholder or another path.
        return _fill(template, {name: quote(value, safe="") for name, value in words.items()})
    # Ids and categories are names of files: none can leave the folder of the template.
    filled = _fill(template, words)
    path = Path(filled).expanduser().absolute()
    if filled == template and not path.is_dir():
        raise UsageError(f"source {template!r}: there is no folder {path}")
    return str(path)


def _fill(template: str, words: Mapping[str, str]) -> str:
    """The template with every placeholder replaced, in one pass."""
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], template)


def _absolute(url: str, server: str | None) -> str:
    if "://" in url:
        return url
    if server is None:
        raise UsageError(f"url {url!r} is relative to the folder that the manifest serves")
    return f"{server.rstrip('/')}/{quote(url)}"
