"""Released segments of a published dataset, to compare ours with.

A CSV file with the columns `id`, `frames` (length of the video in frames of the dataset's grid)
and `segments`: half-open ranges `start-stop` of frames, separated by blanks; none is a recording
that was released without a segment.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass

from avpipe.errors import AvpipeError, ManifestError
from avpipe.manifest.model import Manifest
from avpipe.types import Segment


@dataclass(frozen=True, slots=True)
class Released:
    """What was released of one recording."""

    frames: int
    """Length of the video in frames."""
    segments: tuple[Segment, ...]


def read_reference(manifest: Manifest) -> Mapping[str, Released]:
    """The released segments by recording id; empty if the manifest names none.

    Raises:
        ManifestError: the file is wrong; the text names file and row.
    """
    if manifest.reference is None:
        return {}
    released = {}
    try:
        with manifest.reference.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for row in rows:
                segments = (Segment(*map(int, s.split("-"))) for s in row["segments"].split())
                released[row["id"]] = Released(int(row["frames"]), tuple(segments))
    except OSError as error:
        raise ManifestError(f"{manifest.reference}: cannot be read: {error.strerror}") from error
    except (AvpipeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{manifest.reference} row {rows.line_num}: must be id,frames,segments with"
            f" segments as start-stop of frames ({error})"
        ) from error
    return released
