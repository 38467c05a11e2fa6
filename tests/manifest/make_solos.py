"""Makes manifests/solos.csv and manifests/solos/reference.csv from the released Solos files.

    python tests/manifest/make_solos.py FOLDER

FOLDER holds `solos_ids.json`, `solos_timestamps.json` and `skeleton_dict.json` of
github.com/JuanFMontesinos/Solos at bf7291f3c778a0841c1af9c9e2a32880f20d3de1. The released
timestamps are inclusive ranges of frames at 25 fps; ours are half-open. `frames` is the length of
the released skeleton, that is, of the video.
"""

import csv
import json
import sys
from pathlib import Path

MANIFESTS = Path(__file__).parents[2] / "manifests"


def main(release: Path, out: Path) -> None:
    ids = json.loads((release / "solos_ids.json").read_text())
    stamps = json.loads((release / "solos_timestamps.json").read_text())
    rows_of = json.loads((release / "skeleton_dict.json").read_text())
    (out / "solos").mkdir(exist_ok=True, parents=True)
    with (
        (out / "solos.csv").open("w", newline="") as recordings,
        (out / "solos" / "reference.csv").open("w", newline="") as reference,
    ):
        recordings_csv = csv.writer(recordings, lineterminator="\n")
        reference_csv = csv.writer(reference, lineterminator="\n")
        recordings_csv.writerow(["id", "category"])
        reference_csv.writerow(["id", "frames", "segments"])
        for category, members in ids.items():
            for member in members:
                start, stop = rows_of[member]
                ranges = [f"{first}-{last + 1}" for first, last in stamps[category][member]]
                recordings_csv.writerow([member, category])
                reference_csv.writerow([member, stop - start, " ".join(ranges)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), MANIFESTS)
