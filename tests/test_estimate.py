"""What a build would take, from what its runs have taken."""

import pytest

from avpipe.dag import Node
from avpipe.engine.plan import StageCount
from avpipe.engine.profile import Profile
from avpipe.estimate import Estimate, estimate
from avpipe.ledger import Rate

NODES = (
    Node("download", (), "net", None, {}),
    Node("video", ("download",), "cpu", None, {}),
    Node("detect", ("video",), "gpu", None, {}),
)
PROFILE = Profile("test", pools={"net": 4, "cpu": 2, "gpu": 0})
YOUTUBE = ["https://www.youtube.com/watch?v=a"]


def make(rates: dict[str, Rate], locators: list[str] | None = None, runs: int = 3600) -> Estimate:
    counts = {n.name: StageCount(run=runs) for n in NODES}
    return estimate(NODES, counts, rates, locators or ["/folder"], PROFILE)


def test_workers_share_the_time_and_what_has_no_gpu_takes_the_cpu() -> None:
    found = make({"video": Rate(9, 1.0, 1e6), "detect": Rate(9, 4.0, 1e3)})
    assert (found.stages["video"].hours, found.stages["detect"].hours) == (0.5, 2.0)
    assert found.stages["detect"].pool == "cpu"
    assert found.hours == 2.5
    assert found.bytes == 3600 * 1_001_000
    assert found.unknown == ("download",)


def test_a_download_takes_at_least_the_pace() -> None:
    quick = {"download": Rate(9, 1.0, 1e6)}
    assert make(quick, YOUTUBE).stages["download"].hours == 3.0
    assert make({"download": Rate(9, 40.0, 1e6)}, YOUTUBE).stages["download"].hours == 10.0
    assert make({}, YOUTUBE).stages["download"].hours == 3.0
    assert make(quick).stages["download"].hours == 0.25


def test_what_may_run_counts_and_nothing_to_do_takes_no_time() -> None:
    counts = {n.name: StageCount(maybe=1) for n in NODES}
    found = estimate(NODES, counts, {"video": Rate(1, 3600.0, 5)}, ["/folder"], PROFILE)
    assert found.stages["video"].hours == pytest.approx(0.5)
    nothing = make({"video": Rate(1, 1.0, 5)}, runs=0)
    assert (nothing.hours, nothing.bytes, nothing.unknown) == (0.0, 0, ())
    assert set(nothing.as_json()) == {"hours", "bytes", "unknown", "stages"}
