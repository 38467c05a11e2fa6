"""What is not kept after packing is neither missed nor made again, until something needs it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from avpipe import cli
from avpipe.build import Report, Request, kept
from avpipe.errors import UsageError
from avpipe.maintenance import collect, repair, verify
from plugins import toy
from small_builds import settings

Make = Callable[..., Request]
Run = Callable[..., Report]


def media(out: Path) -> dict[str, int]:
    """Stage -> media files that are on the disk."""
    patterns = {"download": "work/download/*/*/media.*", "video": "work/video/*/*/video.mp4"}
    return {stage: len(list(out.glob(pattern))) for stage, pattern in patterns.items()}


def ran(report: Report) -> dict[str, int]:
    return {name: count.run for name, count in report.stages.items() if count.run}


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("source", {"download": 3, "video": 3}),
        ("video", {"download": 0, "video": 3}),
        ("none", {"download": 0, "video": 0}),
    ],
)
def test_what_is_not_kept_goes_and_a_build_does_not_miss_it(
    done: Make, run: Run, tmp_path, keep, left
):
    out = tmp_path / "out"
    run(done(keep=keep))
    assert media(out) == left
    assert verify(out).problems == ()
    assert ran(run(done(keep=keep))) == {}
    assert repair(out).removed == ()
    assert collect(out).artifacts == ()
    assert ran(run(done(keep=keep))) == {}


def test_what_needs_no_media_fetches_none(done: Make, run: Run, tmp_path):
    run(done(keep="none"))
    report = run(done(keep="none", settings=settings(segment={"max_gap": 9})))
    assert ran(report) == {"segment": 3}


def test_another_detector_fetches_again_and_lets_go_again(done: Make, run: Run, tmp_path):
    out = tmp_path / "out"
    run(done(keep="none"))
    report = run(done(keep="none", settings=settings(detect=toy.options(weights="b"))))
    assert {s: n for s, n in ran(report).items() if s in ("download", "video", "detect")} == {
        "download": 3,
        "video": 3,
        "detect": 3,
    }
    assert "audio" not in ran(report)
    assert media(out) == {"download": 0, "video": 0}
    assert verify(out).problems == ()


def test_what_can_stay_is_checked(tmp_path, capsys):
    with pytest.raises(UsageError, match="must be one of source, video, none"):
        kept("everything")
    assert cli.run(["build", "demo", "--keep", "all", "--out", str(tmp_path)]) == 2
