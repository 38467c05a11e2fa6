"""The one table of limits."""

import pytest

from avpipe.dag import limits, line
from avpipe.errors import UsageError
from avpipe.limits import MediaLimits, TaskLimits, read_limits
from avpipe.manifest import read_manifest

DEMO = read_manifest("demo")


def test_one_table_feeds_both_kinds() -> None:
    media, tasks = read_limits({"max_seconds": 60, "memory_gib": 2}, "[limits]")
    assert media == MediaLimits(max_seconds=60.0)
    assert tasks == TaskLimits(memory_gib=2.0)


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown parameter 'max_hours'; it has max_bytes"):
        read_limits({"max_hours": 1}, "[limits]")


def test_the_lower_of_two_limits_holds() -> None:
    assert TaskLimits(10.0, 4.0).within(TaskLimits(20.0, 2.0)) == TaskLimits(10.0, 2.0)


def test_limits_of_the_dataset_reach_the_download_and_no_key() -> None:
    settings = {"limits": {"max_pixels": 100, "seconds": 5.0}}
    before, after = line(DEMO), line(DEMO, settings=settings)
    assert after[0].config.limits.max_pixels == 100
    assert [n.identity for n in after] == [n.identity for n in before]
    assert limits(DEMO, settings)[1].seconds == 5.0
