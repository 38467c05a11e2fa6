"""Where the media of a recording is: `--source` wins over a row's `url`, that over `source`."""

from pathlib import Path
from urllib.parse import quote

from avpipe.errors import UsageError
from avpipe.manifest.model import Manifest
from avpipe.manifest.words import bad_source
from avpipe.types import Recording

YOUTUBE = "https://www.youtube.com/watch?v={video}"


def locate(
    manifest: Manifest,
    recording: Recording,
    source: str | None = None,
    *,
    server: str | None = None,
) -> str:
    """A URL, or the absolute path of the folder that holds `{id}.*` or `{category}/{id}.*`.

    Args:
        source: what `--source` gives: `youtube`, a URL template with {id}, {video} or
            {category}, or a folder (relative to the working directory). It wins over all.
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


def _from_source(source: str, recording: Recording) -> str:
    template = YOUTUBE if source == "youtube" else source
    if "://" not in template:
        folder = Path(template).expanduser().resolve()
        if not folder.is_dir():
            raise UsageError(f"source {template!r}: there is no folder {folder}")
        return str(folder)
    words = {"id": recording.id, "video": video_id(recording), "category": recording.category}
    for name, value in words.items():
        # One pass each is safe: an encoded value holds no braces.
        template = template.replace(f"{{{name}}}", quote(value, safe=""))
    return template


def _absolute(url: str, server: str | None) -> str:
    if "://" in url:
        return url
    if server is None:
        raise UsageError(f"url {url!r} is relative to the folder that the manifest serves")
    return f"{server.rstrip('/')}/{quote(url)}"
