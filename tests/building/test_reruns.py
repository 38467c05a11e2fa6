"""What runs again, and what does not: counted."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from avpipe import cli
from avpipe.build import Report, Request, build, compact, estimate, plan
from avpipe.engine.profile import read_profile
from avpipe.errors import UsageError
from avpipe.ledger import FILE, Ledger
from avpipe.maintenance import verify
from avpipe.manifest import read_manifest
from avpipe.shards.catalogue import read_catalogue
from plugins import toy
from small_builds import Silent, settings, write_manifest

Make = Callable[..., Request]
Run = Callable[..., Report]


def ran(report: Report) -> dict[str, int]:
    """Stage -> how often it ran, where it did."""
    return {name: count.run for name, count in report.stages.items() if count.run}


def attempts(request: Request) -> int:
    """Executions that the ledger has logged."""
    with Ledger(request.out / FILE) as ledger:
        return sum(len(ledger.attempts(r.id)) for r in request.manifest.recordings)


def test_a_build_runs_every_stage_once_for_every_recording(tiny: Make, run: Run) -> None:
    request = tiny()
    expected = dict.fromkeys(("download", "video", "audio", "detect", "segment", "interpolate"), 3)
    assert {n: c.run for n, c in plan(request).stages.items() if c.run} == {"download": 3}
    report = run(request)
    assert ran(report) == {**expected, "pack": 2}
    assert (report.segments, report.transient, report.failures) == (3, 0, [])
    assert attempts(request) == 18
    assert verify(request.out).problems == ()


def test_a_second_build_runs_nothing_and_needs_no_worker(done: Make) -> None:
    before = attempts(done())
    report = build(done(), replace(read_profile(None), address="tcp://127.0.0.1:1"), Silent())
    assert ran(report) == {}
    assert {c.reuse for c in report.stages.values()} == {3, 2}
    assert attempts(done()) == before


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"segment": {"max_gap": 6}}, {"segment": 3}),
        ({"audio": {"sample_rate": 8000}}, {"audio": 3, "segment": 3, "pack": 1}),
        ({"interpolate": {"max_fill_frames": 7}}, {"interpolate": 3}),
        ({"detect": toy.options(weights="bb")}, {"detect": 3, "segment": 3, "interpolate": 3,
                                                  "pack": 1}),
        ({"detect": toy.options(threshold=1e-6)}, {"detect": 3, "pack": 1}),
    ],
)  # fmt: skip
def test_a_changed_parameter_runs_what_depends_on_it_and_nothing_else(
    done: Make, run: Run, changed: dict[str, dict[str, object]], expected: dict[str, int]
) -> None:
    assert ran(run(done(settings=settings(**changed)))) == expected


def test_a_new_sample_rate_rewrites_the_audio_shard_alone(
    done: Make, run: Run, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest" / "tiny.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace("sample_rate = 11025", "sample_rate = 8000"))
    assert ran(run(done())) == {"audio": 3, "segment": 3, "pack": 1}
    assert verify(tmp_path / "out").problems == ()


def test_segments_that_move_rewrite_both_shards(done: Make, run: Run) -> None:
    moved = settings(segment={"source": "given"})
    report = run(done(settings=moved, ids=("violin",)))
    # the whole recording is the same one segment: its digest is as before, nothing is rewritten
    assert ran(report) == {"segment": 1}
    report = run(done(settings=settings(segment={"min_frames": 51})))
    assert ran(report) == {"segment": 3}
    assert report.segments == 0
    assert report.empty == {"no_hands": 3}


def test_a_raised_version_runs_the_stage_and_what_depends_on_it(
    done: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avpipe.stages import detect

    monkeypatch.setattr(detect, "VERSION", detect.VERSION + 1)
    assert plan(done()).stages["detect"].reasons == {"version 1 -> 2": 3}
    assert ran(run(done())) == {"detect": 3}  # the same keypoints as before: early cut-off


def test_the_plan_says_why_and_what_may_follow(done: Make) -> None:
    changed = settings(segment={"max_gap": 6}, detect=toy.options(weights="b" * 50))
    stages = plan(done(settings=changed)).stages
    assert stages["video"].reuse == 3
    (reason,) = stages["detect"].reasons
    assert reason == "parameter options.weights a -> bbbbbbbbbbbb…"
    assert (stages["segment"].run, stages["segment"].maybe) == (0, 3)
    stages = plan(done(settings=settings(segment={"max_gap": 6}))).stages
    assert stages["segment"].reasons == {"parameter max_gap 5 -> 6": 3}


def test_an_artifact_deleted_by_hand_is_made_again(done: Make, run: Run) -> None:
    request = done()
    with Ledger(request.out / FILE) as ledger:
        key = ledger.current()["violin"]["audio"][0]
    shutil.rmtree(request.store.path("audio", key))
    assert plan(request).stages["audio"].reasons == {"artifact missing": 1}
    assert ran(run(request)) == {"audio": 1}


def test_a_deleted_download_is_fetched_again_and_nothing_else(done: Make, run: Run) -> None:
    request = done()
    shutil.rmtree(request.out / "work" / "download")
    assert ran(run(request)) == {"download": 3}


def test_two_recordings_with_the_same_bytes_are_worked_on_once(
    tiny: Make, run: Run, clips: Path, tmp_path: Path
) -> None:
    source = tmp_path / "twins"
    source.mkdir()
    for name in ("one", "two", "three"):
        shutil.copy(clips / "violin.mp4", source / f"{name}.mp4")
    manifest = write_manifest(tmp_path / "twin-manifest", source, ["one", "two", "three"])
    report = run(tiny(manifest=manifest))
    expected = {"video": 1, "audio": 1, "detect": 1, "segment": 1, "interpolate": 1}
    assert ran(report) == {"download": 3, **expected, "pack": 2}
    assert report.segments == 3
    assert verify(tmp_path / "out").problems == ()


def test_one_new_recording_adds_shards_and_rewrites_none(
    tiny: Make, run: Run, clips: Path, tmp_path: Path
) -> None:
    source = tmp_path / "more"
    shutil.copytree(clips, source)
    shutil.copy(clips / "violin.mp4", source / "encore.mp4")
    write_manifest(tmp_path / "manifest", source, sorted(p.stem for p in clips.glob("*.mp4")))
    run(tiny())
    first = {p.name: p.read_bytes() for p in (tmp_path / "out" / "shards").iterdir()}
    ids = ["encore", *sorted(p.stem for p in clips.glob("*.mp4"))]
    write_manifest(tmp_path / "manifest", source, ids)
    report = run(tiny())
    assert ran(report) == {"download": 1, "pack": 2}
    now = {p.name: p.read_bytes() for p in (tmp_path / "out" / "shards").iterdir()}
    assert len(now) == 4
    assert {name: now[name] for name in first} == first
    assert ran(compact(tiny())) == {"pack": 2}
    assert len(list((tmp_path / "out" / "shards").iterdir())) == 2
    assert verify(tmp_path / "out").problems == ()
    assert ran(compact(tiny())) == {}


def test_compacting_keeps_fields_and_time_grid_and_asks_for_no_source(
    tiny: Make, run: Run, clips: Path, tmp_path: Path
) -> None:
    """Options of the build had given them: they stand nowhere but in what is published."""
    manifest = write_manifest(tmp_path / "nowhere", "youtube", ["violin", "trumpet"])
    manifest.write_text(manifest.read_text().replace('source = "youtube"\n', ""))
    options = {"fields": ("audio", "frames"), "settings": settings(audio={"sample_rate": 8000})}
    run(tiny(manifest=manifest, source=str(clips), **options))
    before = {p.name: p.read_bytes() for p in (tmp_path / "out" / "shards").iterdir()}
    assert set(before) == {"audio-00000.h5", "frames-00000.h5"}
    assert compact(tiny(manifest=manifest)).stages["pack"].reuse == 2
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "shards").iterdir()} == before


def test_figures_are_on_the_time_grid_that_was_built(
    tiny: Make, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = tiny(settings=settings(video={"fps": 5.0}, segment={"min_frames": 5}))
    hours = run(request).hours
    capsys.readouterr()
    command = ["stats", str(request.manifest.path), "--out", str(tmp_path / "out"), "--json"]
    assert cli.run(command) == 0
    total = json.loads(capsys.readouterr().out)["total"]["ours"]
    assert total["hours"] == pytest.approx(hours)
    assert total["mean_seconds"] == pytest.approx(2)


def test_ids_and_limit_restrict_what_runs_and_not_what_is_published(
    done: Make, run: Run, tmp_path: Path
) -> None:
    other = settings(detect=toy.options(weights="other"))
    report = run(done(settings=other, ids=("violin",)))
    assert ran(report) == {"detect": 1, "segment": 1, "interpolate": 1, "pack": 1}
    assert (report.recordings, report.segments) == (1, 3)
    report = run(done(settings=other, limit=1))
    assert ran(report) == {"detect": 1, "segment": 1, "interpolate": 1, "pack": 1}
    assert report.segments == 3
    assert verify(tmp_path / "out").problems == ()


def test_a_recording_that_left_the_manifest_leaves_the_shards(
    done: Make, run: Run, clips: Path, tmp_path: Path
) -> None:
    write_manifest(tmp_path / "manifest", clips, ["trumpet", "violin"])
    report = run(done())
    assert (ran(report), report.segments) == ({"pack": 2}, 2)
    assert set(read_catalogue(tmp_path / "out").assignment) == {"trumpet", "violin"}


def test_until_stops_the_line_and_packs_nothing(tiny: Make, run: Run, tmp_path: Path) -> None:
    report = run(tiny(until="video"))
    assert ran(report) == {"download": 3, "video": 3}
    assert not (tmp_path / "out" / "MANIFEST.json").exists()
    with pytest.raises(UsageError, match="the line has download, video"):
        tiny(until="vidoe").nodes()


def test_a_field_that_is_not_asked_for_is_not_made(tiny: Make, run: Run, tmp_path: Path) -> None:
    report = run(tiny(fields=("audio",), settings=settings(segment={"source": "whole"})))
    assert set(ran(report)) == {"download", "audio", "segment", "pack"}
    assert [p.name for p in (tmp_path / "out" / "shards").iterdir()] == ["audio-00000.h5"]


def test_offline_fetches_nothing_over_a_network_but_takes_files(tiny: Make, run: Run) -> None:
    report = run(tiny(offline=True, source="http://127.0.0.1:9/{id}.mp4"))
    assert (ran(report), report.left, report.transient) == ({}, 3, 3)
    report = run(tiny(offline=True))
    assert ran(report)["download"] == 3


def test_a_frozen_stage_keeps_its_stale_output_and_the_shards_say_so(
    done: Make, run: Run, tmp_path: Path
) -> None:
    import h5py

    upgraded = settings(detect=toy.options(weights="new"))
    frozen = done(settings=upgraded, freeze=("detect",))
    assert plan(frozen).stages["detect"].reasons == {"frozen": 3}
    report = run(frozen)
    assert ran(report) == {"pack": 1}
    with h5py.File(tmp_path / "out" / "shards" / "skeleton-00000.h5") as shard:
        assert list(shard["violin"].attrs["frozen"]) == [b"detect"]
        assert b'"weights":"a"' in shard["violin"].attrs["detector"]
    with h5py.File(tmp_path / "out" / "shards" / "audio-00000.h5") as shard:
        assert "frozen" not in shard["violin"].attrs
    assert ran(run(frozen)) == {}
    assert ran(run(done(settings=upgraded))) == {
        "detect": 3, "segment": 3, "interpolate": 3, "pack": 1
    }  # fmt: skip
    with pytest.raises(UsageError, match="the stages are"):
        plan(done(freeze=("detector",)))


def test_a_part_cannot_be_built_on_another_time_grid(done: Make, run: Run) -> None:
    with pytest.raises(
        UsageError, match="was built at 25 fps and 11025 Hz, not at 25 fps and 8000"
    ):
        run(done(settings=settings(audio={"sample_rate": 8000}), ids=("violin",)))
    with pytest.raises(UsageError, match="one for all stages"):
        done(settings=settings(audio={"fps": 24.0}, video={"fps": 25.0})).nodes()


def test_a_manifest_with_another_fps_reads_the_same_downloads(
    done: Make, run: Run, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest" / "tiny.toml"
    manifest.write_text(manifest.read_text().replace("fps = 25", "fps = 10"))
    request = done()
    assert request.manifest == read_manifest(manifest)
    report = run(request)
    assert "download" not in ran(report)
    assert report.hours == pytest.approx(3 * 2 / 3600, abs=1e-4)


def test_an_estimate_comes_from_the_runs_so_far(done: Make) -> None:
    request = done(settings=settings(detect=toy.options(weights="new")))
    found = estimate(request, plan(request), read_profile(None), 2)
    assert found.unknown == ()
    assert found.stages["detect"].runs == 3
    assert found.stages["video"].runs == 0
    assert found.hours > 0
    assert found.bytes > 0
