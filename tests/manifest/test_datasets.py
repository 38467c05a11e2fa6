"""The shipped lists hold what their publications say, or their notes say what differs."""

import tomllib
from collections import Counter

import pytest

import avpipe
from avpipe import resources
from avpipe.manifest import schema
from avpipe.manifest.reference import read_reference

MANIFESTS = resources.folder("manifests")


def test_the_schema_itself_is_valid():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema.schema())


def test_the_demo_ships_its_media_with_two_failures_and_is_small():
    manifest = avpipe.read_manifest("demo")
    assert manifest.serve is not None
    files = {path.name for path in manifest.serve.iterdir()} - {"LICENCES.md"}
    absent = [r.id for r in manifest.recordings if r.url not in files]
    assert absent == ["trumpet-gone"]
    assert files == {r.url for r in manifest.recordings} - {"trumpet-gone.mp4"}
    assert sum(path.stat().st_size for path in manifest.serve.iterdir()) < 6e6
    table = (manifest.serve / "LICENCES.md").read_text()
    assert all(f"| {name} |" in table for name in files)
    assert all(r.licence and r.extra["credit"] for r in manifest.recordings)


def test_solos_has_the_754_released_recordings_of_13_instruments():
    manifest = avpipe.read_manifest("solos")
    assert len(manifest.recordings) == 754
    assert Counter(r.category for r in manifest.recordings) == {
        "Bassoon": 56, "Cello": 134, "Clarinet": 49, "DoubleBass": 58, "Flute": 47, "Horn": 50,
        "Oboe": 53, "Saxophone": 45, "Trombone": 50, "Trumpet": 50, "Tuba": 41, "Viola": 55,
        "Violin": 66,
    }  # fmt: skip
    assert all(len(r.id) == 11 for r in manifest.recordings)


def test_solos_differs_from_its_table_in_one_flute_and_says_so():
    manifest = avpipe.read_manifest("solos")
    counts = Counter(r.category for r in manifest.recordings)
    groups = manifest.published["groups"]
    differing = {name for name in groups if groups[name]["recordings"] != counts[name]}
    assert differing == {"Flute"}
    assert manifest.published["recordings"] == sum(g["recordings"] for g in groups.values()) == 755
    assert manifest.notes is not None
    assert "754" in manifest.notes


def test_the_released_timestamps_of_solos_are_half_open_and_complete():
    manifest = avpipe.read_manifest("solos")
    released = read_reference(manifest)
    assert set(released) == {r.id for r in manifest.recordings}
    segments = [s for r in released.values() for s in r.segments]
    assert len(segments) == 1349
    inclusive = [len(s) - 1 for s in segments]
    assert sum(inclusive) / 25 / 3600 == pytest.approx(64.215, abs=5e-4)
    assert (min(inclusive), max(inclusive)) == (151, 50532)
    assert sum(not r.segments for r in released.values()) == 10
    assert sum(r.frames for r in released.values()) == 5976615
    assert [(s.start, s.stop) for s in released["OqH9szlahwU"].segments] == [(89, 1618)]
    assert all(s.stop <= r.frames for r in released.values() for s in r.segments)


def test_the_mean_durations_of_solos_are_those_of_its_table():
    manifest = avpipe.read_manifest("solos")
    released = read_reference(manifest)
    for category, group in manifest.published["groups"].items():
        frames = [released[r.id].frames for r in manifest.recordings if r.category == category]
        minutes_seconds = int(sum(frames) / len(frames) / manifest.fps)
        assert abs(minutes_seconds - group["mean_seconds"]) <= 1, category


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_manifest_says_what_a_user_must_know(path):
    values = tomllib.loads(path.read_text())
    assert values["name"] == path.stem
    assert values["title"]
    assert values["citation"]
