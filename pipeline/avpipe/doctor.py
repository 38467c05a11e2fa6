"""What a build needs on this machine, and what of it is there."""

import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from avpipe import detectors
from avpipe.device import cpu_count, visible_gpus
from avpipe.errors import AvpipeError

_STALE_DAYS = 60
"""YouTube changes faster than this: an older yt-dlp usually fails there."""
_LOW_DISK_BYTES = 20 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "note", "missing"]
    """`missing`: builds cannot do without; `note`: some builds are better or need it."""
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def examine(folder: Path = Path()) -> list[Finding]:
    """Looks at everything; `folder` is where datasets would go."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _ffmpeg,
        _yt_dlp,
        _javascript,
        _compute,
        _detectors,
        lambda: _disk(folder),
    )
    return [finding for look in looks for finding in look()]


def _ffmpeg() -> Iterator[Finding]:
    from avpipe.media import ffmpeg

    try:
        found = f"{ffmpeg.identity()['ffmpeg']} ({ffmpeg.executable()})"
        yield Finding("ffmpeg with libx264 and soxr", "ok", found)
    except AvpipeError as error:
        yield Finding("ffmpeg with libx264 and soxr", "missing", "", str(error))


def _yt_dlp() -> Iterator[Finding]:
    try:
        installed = version("yt-dlp")
    except PackageNotFoundError:
        yield Finding("yt-dlp", "missing", "", "pip install 'yt-dlp[default]'")
        return
    year, month, day = (int(part) for part in installed.split(".")[:3])
    age = (datetime.now(UTC) - datetime(year, month, day, tzinfo=UTC)).days
    if age > _STALE_DAYS:
        remedy = "pip install -U 'yt-dlp[default]': YouTube changes faster than this"
        yield Finding("yt-dlp", "note", f"{installed}, {age} days old", remedy)
    else:
        yield Finding("yt-dlp", "ok", f"{installed}, {age} days old")
    yield Finding(
        "cookies",
        "note",
        "none by default",
        "for videos that ask to sign in: --set download.cookies_file=FILE"
        " or --set download.cookies_from_browser=firefox",
    )


def _javascript() -> Iterator[Finding]:
    runtimes = [name for name in ("deno", "node", "bun") if shutil.which(name)]
    scripts = importlib.util.find_spec("yt_dlp_ejs") is not None
    if runtimes and scripts:
        yield Finding("JavaScript runtime (YouTube)", "ok", ", ".join(runtimes))
    else:
        lacking = "yt-dlp-ejs" if runtimes else "deno or node"
        yield Finding(
            "JavaScript runtime (YouTube)",
            "note",
            f"no {lacking}",
            "YouTube downloads need one: install deno, and pip install 'yt-dlp[default]'",
        )


def _compute() -> Iterator[Finding]:
    yield Finding("CPU", "ok", f"{cpu_count()} cores")
    gpus = visible_gpus()
    if gpus:
        names = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        yield Finding("GPU", "ok", ", ".join(names.split("\n")).strip(", "))
    else:
        yield Finding("GPU", "note", "none", "detection and training run on the CPU, slower")
    for package, what in (("torch", "training and separation"), ("dask_jobqueue", "Slurm pools")):
        there = importlib.util.find_spec(package) is not None
        extra = {"torch": "train", "dask_jobqueue": "cluster"}[package]
        yield Finding(
            f"{package} ({what})",
            "ok" if there else "note",
            version(package.replace("_", "-")) if there else "not installed",
            "" if there else f"pip install 'avpipe[{extra}]'",
        )


def _detectors() -> Iterator[Finding]:
    for name in detectors.names():
        module = detectors.module(name)
        if not hasattr(module, "create"):
            continue  # an importer needs files of the user's, nothing of this machine
        try:
            identity = module.identity(module.Config())
        except AvpipeError as error:
            yield Finding(f"detector {name}", "note", "not usable", str(error))
        else:
            yield Finding(f"detector {name}", "ok", _described(identity))


def _described(identity: dict[str, Any]) -> str:
    plain = [str(v) for v in identity.values() if isinstance(v, str)][:2]
    return " ".join(plain)


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    low = free < _LOW_DISK_BYTES
    remedy = "downloads and resampled videos stay on disk while a dataset is built" if low else ""
    yield Finding("free disk here", "note" if low else "ok", f"{free / 1e9:,.0f} GB", remedy)
