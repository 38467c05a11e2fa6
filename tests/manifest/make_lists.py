"""Makes the shipped lists (manifests/*.csv) from the released ones.

    PYTHONPATH=pipeline python tests/manifest/make_lists.py RELEASES

RELEASES holds the files as released:

    solos/      solos_ids.json, solos_timestamps.json, skeleton_dict.json
                of github.com/JuanFMontesinos/Solos at bf7291f3c778a0841c1af9c9e2a32880f20d3de1
    music/      MUSIC_solo_videos.json, MUSIC_duet_videos.json, MUSIC21_solo_videos.json
                of github.com/roudimit/MUSIC_dataset at 6f47a09aa1dc596d4dd3eb9c194819832becabc0
    acappella/  full_dataset.csv, test_unseen.csv, splits.json
                of github.com/IPCV/Acappella at af1e403b489b87a131b6e393c600e7fd863ab61c
    urmp.json   the names of the 44 folders of the URMP dataset
"""

import csv
import json
import sys
from pathlib import Path

from avpipe.manifest.lists import Row, read_list

MANIFESTS = Path(__file__).parents[2] / "manifests"
SIZES = {2: "duet", 3: "trio", 4: "quartet", 5: "quintet"}


def write(name: str, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    path = MANIFESTS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def cells(rows: list[Row]) -> list[dict[str, str]]:
    return [row for _, row in rows]


def solos(release: Path) -> None:
    """The released timestamps are inclusive ranges of frames; ours are half-open."""
    stamps = json.loads((release / "solos_timestamps.json").read_text())
    rows_of = json.loads((release / "skeleton_dict.json").read_text())
    rows = cells(list(read_list(release / "solos_ids.json")))
    write("solos", ("id", "category"), rows)
    for row in rows:
        start, stop = rows_of[row["id"]]
        ranges = stamps[row["category"]][row["id"]]
        row["frames"] = str(stop - start)
        row["segments"] = " ".join(f"{first}-{last + 1}" for first, last in ranges)
    write("solos/reference", ("id", "frames", "segments"), rows)


def music(release: Path) -> None:
    solo = cells(list(read_list(release / "MUSIC_solo_videos.json")))
    duet = cells(list(read_list(release / "MUSIC_duet_videos.json")))
    rows = [{**row, "kind": "solo"} for row in solo] + [{**row, "kind": "duet"} for row in duet]
    write("music", ("id", "category", "kind"), rows)
    write(
        "music21", ("id", "category"), cells(list(read_list(release / "MUSIC21_solo_videos.json")))
    )


def acappella(release: Path) -> None:
    splits = json.loads((release / "splits.json").read_text())
    split_of = {member: split for split, members in splits.items() for member in members}
    groups = {row["id"]: row["test_group"] for _, row in read_list(release / "test_unseen.csv")}
    rows = cells(list(read_list(release / "full_dataset.csv")))
    for row in rows:
        row["split"] = split_of[row["id"]]
        row["test_group"] = groups.get(row["id"], "")
    columns = ("id", "category", "split", "start_seconds", "stop_seconds", "video", "singer")
    write("acappella", (*columns, "gender", "test_group", "song_name", "comments"), rows)


def urmp(names: Path) -> None:
    rows = []
    for name in json.loads(names.read_text()):
        _, piece, *instruments = name.split("_")
        kind = SIZES[len(instruments)]
        rows.append(
            {
                "id": name,
                "category": kind,
                "performance": piece,
                "instruments": " ".join(instruments),
            }
        )
    write("urmp", ("id", "category", "performance", "instruments"), rows)


def main(releases: Path) -> None:
    solos(releases / "solos")
    music(releases / "music")
    acappella(releases / "acappella")
    urmp(releases / "urmp.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
