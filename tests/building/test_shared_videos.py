"""Recordings cut from one video: it is fetched once, fails once, and goes with the last of them."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from avpipe.build import Report, Request, plan
from avpipe.dag import line
from avpipe.ledger import FILE, Ledger
from avpipe.lists import locking
from avpipe.lists.removal import absent, remove
from avpipe.maintenance import collect, repair, verify
from avpipe.manifest import read_manifest
from avpipe.store import canonical, sha256_text
from small_builds import settings, write_manifest
from web import Server, serve

Run = Callable[..., Report]


@pytest.fixture
def server(tmp_path: Path, clips: Path) -> Iterator[Server]:
    shutil.copytree(clips, tmp_path / "web")
    with serve(tmp_path / "web") as running:
        running.moods["dead.mp4"] = "404"
        yield running


@pytest.fixture
def cuts(tmp_path: Path, server: Server) -> Request:
    """Two cuts of a violinist, one of a trumpeter, two of a video that is gone."""
    manifest = write_manifest(tmp_path / "manifest", server.url("mirror", "{video}.mp4"), [])
    (manifest.parent / "tiny.csv").write_text(
        "id,category,video,start_seconds,stop_seconds\n"
        "v-1,music,violin,0,0.8\nv-2,music,violin,1,1.9\nt-1,music,trumpet,0,1\n"
        "d-1,music,dead,0,1\nd-2,music,dead,1,2\n"
    )
    return Request(
        read_manifest(manifest),
        tmp_path / "out",
        settings(segment={"source": "given"}),
        fields=("audio",),
    )


def fetches(server: Server, name: str) -> int:
    return server.requests[f"/mirror/{name}.mp4"]


def test_a_video_is_fetched_once_for_all_its_cuts(cuts: Request, run: Run, server: Server) -> None:
    foretold = plan(cuts).stages["download"]
    assert (foretold.run, foretold.reuse) == (3, 2)
    report = run(cuts)
    assert report.segments == 3
    download = report.stages["download"]
    assert (download.run, download.reuse, download.failed) == (2, 1, 2)
    assert fetches(server, "violin") == fetches(server, "trumpet")
    assert [(f.recording, f.failure) for f in report.failures] == [
        ("d-1", "removed"),
        ("d-2", "removed"),
    ]
    assert fetches(server, "dead") == 1
    asked = server.requests.total()
    again = run(cuts)
    assert (again.stages["download"].run, again.segments) == (0, 3)
    assert len(again.failures) == 2
    assert server.requests.total() == asked
    assert verify(cuts.out).problems == ()


def test_a_cut_added_later_needs_no_fetch_and_knows_that_its_video_is_gone(
    cuts: Request, run: Run, server: Server
) -> None:
    first = replace(cuts, ids=("v-1", "d-1"))
    run(first)
    asked = server.requests.total()
    report = run(replace(cuts, ids=("v-2", "d-2")))
    assert report.stages["download"].reuse == 1
    assert [f.recording for f in report.failures] == ["d-2"]
    assert server.requests.total() == asked
    assert report.segments == 2


def test_what_may_pass_is_tried_once_for_all_cuts(cuts: Request, run: Run, server: Server) -> None:
    server.moods["dead.mp4"] = "half-of-no-length"
    shutil.copy(cuts.out.parent / "web" / "violin.mp4", cuts.out.parent / "web" / "dead.mp4")
    run(cuts)
    tries = fetches(server, "dead")
    server.moods["dead.mp4"] = "good"
    report = run(replace(cuts, retry_failed=True))
    assert report.failures == []
    assert fetches(server, "dead") - tries == fetches(server, "trumpet")


def test_a_shared_video_is_in_use_until_the_last_cut_is_gone(
    cuts: Request, run: Run, tmp_path: Path
) -> None:
    run(cuts)
    assert collect(cuts.out, downloads=True, dry_run=True).artifacts == ()
    lock = locking.make(cuts.manifest, cuts.out)
    assert set(lock.available) == {"v-1", "v-2", "t-1"}
    assert lock.available["v-1"] == lock.available["v-2"]
    repair(cuts.out)
    assert {row.id for row in remove(cuts.out, ["violin"])} == {"violin", "v-1", "v-2"}
    assert absent(cuts.out, "v-1")[1] == absent(cuts.out, "violin")[1] == []
    report = run(cuts)
    assert (report.recordings, report.segments) == (3, 1)


def test_media_are_not_let_go_while_another_cut_needs_them(
    cuts: Request, run: Run, server: Server
) -> None:
    """The first build packs one cut and knows of the other; then the other comes without fetch."""
    with_other = replace(cuts, until="download")
    run(with_other)
    asked = fetches(server, "violin")
    assert run(replace(cuts, ids=("v-1",), keep="none")).segments == 1
    assert run(replace(cuts, keep="none")).segments == 3
    assert fetches(server, "violin") == asked
    assert not list(cuts.out.glob("work/download/*/*/media.*"))


def test_a_check_of_a_lock_asks_once_for_every_video(cuts: Request, server: Server) -> None:
    answers = dict(locking.check(cuts.manifest, None, sleep=lambda _: None))
    assert {name for name, error in answers.items() if error} == {"d-1", "d-2"}
    assert fetches(server, "dead") == 1


def test_a_row_with_an_address_of_its_own_is_a_medium_of_its_own(
    cuts: Request, run: Run, server: Server
) -> None:
    rows = cuts.manifest.recordings
    own = replace(rows[1], url=server.url("mirror", "second-violin.mp4"))
    manifest = replace(cuts.manifest, recordings=(rows[0], own))
    run(replace(cuts, manifest=manifest))
    media = {p.read_bytes() for p in cuts.out.glob("work/download/*/*/media.mp4")}
    assert len(media) == 2


@pytest.mark.parametrize("name", ["solos", "demo", "music21"])
def test_the_key_of_a_recording_that_is_a_video_is_of_dataset_and_id(name: str) -> None:
    manifest = read_manifest(name)
    recording = manifest.recordings[0]
    text = {"inputs": {"dataset": name, "id": recording.id}, "stage": "download"}
    assert line(manifest)[0].key(recording, name, {}) == sha256_text(canonical(text))


def test_acappella_has_a_download_for_every_video() -> None:
    manifest = read_manifest("acappella")
    node = line(manifest)[0]
    assert len({node.key(r, manifest.name, {}) for r in manifest.recordings}) == 1421


def test_a_licence_that_is_required_later_keeps_out_what_came_before(
    done: Callable[..., Request], run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    strict = settings(download={"require_licence": "CC-BY*"})
    foretold = plan(done(settings=strict))
    assert (foretold.stages["download"].failed, foretold.stages["download"].run) == (3, 0)
    report = run(done(settings=strict))
    assert [(f.stage, f.failure, f.permanent) for f in report.failures] == [
        ("download", "copyright", True)
    ] * 3
    assert "its licence is 'CC0-1.0'" in report.failures[0].message
    assert report.segments == 0
    assert run(done(settings=strict, freeze=("download",))).segments == 0
    with Ledger(out / FILE) as ledger:
        assert len(ledger.failures()) == 3
    report = run(done())
    assert (report.segments, report.stages["download"].run, report.failures) == (3, 0, [])
    with Ledger(out / FILE) as ledger:
        assert ledger.failures() == []


def test_the_licence_on_its_page_counts_later_as_before(
    done: Callable[..., Request], run: Run, tmp_path: Path
) -> None:
    """What the page said stands in the provenance; without ledger too."""
    out = tmp_path / "out"
    for path in out.glob("work/download/*/*/provenance.json"):
        value = json.loads(path.read_text())
        if value["facts"]["recording"] == "violin":
            value["facts"]["licence"] = "Creative Commons Attribution license (reuse allowed)"
            path.write_text(json.dumps(value))
    (out / FILE).unlink()
    report = run(done(settings=settings(download={"require_licence": "CC-BY"})))
    assert [f.recording for f in report.failures] == ["second-violin", "trumpet"]
    assert report.segments == 1
