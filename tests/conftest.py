"""What several tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("avpipe", deadline=None)  # a busy machine fails no test
settings.load_profile("avpipe")


@pytest.fixture
def resources() -> Path:
    """Small real media, see tests/resources/LICENCES.md."""
    return Path(__file__).parent / "resources"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a GPU where there is none."""
    from avpipe.device import visible_gpus

    if visible_gpus():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device, this machine has none")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)
