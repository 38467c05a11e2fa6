"""Runs one stage on one media file, as the build does: artifact folders in, artifact folder out."""

from pathlib import Path
from typing import Any

from avpipe.fetch.folder import link
from avpipe.media import scan
from avpipe.stages import Facts, Job, load
from avpipe.types import Recording

RESOURCES = Path(__file__).parent / "resources"
ODD = RESOURCES / "odd"


def download_artifact(media: Path, folder: Path) -> Path:
    """What `download` would have published for a media file."""
    folder.mkdir(parents=True)
    link(media, folder / f"media{media.suffix}")
    scan(folder / f"media{media.suffix}").write(folder)
    return folder


def run_stage(
    name: str, media: Path, folder: Path, recording_id: str = "clip", **config: Any
) -> tuple[Path, Facts]:
    """The artifact folder that a stage makes of a media file, and its facts."""
    stage = load(name)
    inputs = folder / "download"
    if not inputs.exists():
        download_artifact(media, inputs)
    out = folder / name
    out.mkdir()
    recording = Recording(recording_id, "violin")
    return out, stage.run(Job(recording, stage.Config(**config), {"download": inputs}, out))
