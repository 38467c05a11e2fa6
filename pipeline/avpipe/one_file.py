"""The stages of the line on one file that is no recording of a dataset."""

from pathlib import Path
from typing import Any

from avpipe import stages
from avpipe.errors import FailureClass, RecordingFailed
from avpipe.fetch.folder import link
from avpipe.media import Scan, scan
from avpipe.types import Recording


class OneFile:
    """A media file, and what stages make of it, each in a folder of its name."""

    def __init__(self, media: Path, place: Path) -> None:
        """Args:
        media: the file.
        place: an empty folder for what is made.

        Raises:
            RecordingFailed: the file is truncated or unreadable.
        """
        self.media, self.place = media, place
        folder = place / "download"
        folder.mkdir()
        self.scan: Scan = scan(media)
        """What the file holds."""
        if self.scan.verdict != "good":
            raise RecordingFailed(FailureClass(self.scan.verdict), self.scan.reason)
        link(media, folder / f"media{media.suffix}")
        self.scan.write(folder)

    def run(self, name: str, config: Any = None, **parameters: Any) -> dict[str, Any]:
        """Runs a stage on what the stages before it made; its facts."""
        stage, folder = stages.load(name), self.place / name
        folder.mkdir()
        inputs = {need: self.place / need for need in stage.NEEDS}
        recording = Recording(self.media.stem, "")  # importers look for keypoints of that name
        config = config or stage.Config(**parameters)
        return stage.run(stages.Job(recording, config, inputs, folder))
