"""A small dataset, and workers that several tests share."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avpipe.build import Report, Request, build
from avpipe.engine.profile import Profile
from avpipe.manifest import read_manifest
from avpipe.media import ffmpeg
from small_builds import DaskCluster, Silent, profile, settings, write_manifest

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds each of three real recordings, in a small size, named by what they are."""
    folder = tmp_path_factory.mktemp("clips")
    for name, source, width in (
        ("violin", "urmp_09_vn_crop.mp4", 64),
        ("trumpet", "urmp_09_tpt_crop.mp4", 64),
        ("second-violin", "urmp_vln1.mp4", 48),
    ):
        command = [ffmpeg.executable(), "-v", "error", "-i", TESTS / "resources" / source]
        command += ["-t", "2", "-vf", f"scale={width}:48", "-r", "25", "-ac", "1"]
        command += ["-preset", "ultrafast", folder / f"{name}.mp4"]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture(autouse=True, scope="session")
def importable_plugins() -> Iterator[None]:
    """Workers and children find the toy detector as a user's own would be found."""
    before = os.environ.get("PYTHONPATH", "")
    folders = [str(TESTS), str(TESTS.parent / "pipeline"), before]
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    yield
    os.environ["PYTHONPATH"] = before


@pytest.fixture
def tiny(tmp_path: Path, clips: Path) -> Callable[..., Request]:
    """Makes a request for a dataset of the clips; keywords go to the request."""
    manifest = write_manifest(
        tmp_path / "manifest", clips, sorted(p.stem for p in clips.glob("*.mp4"))
    )

    def make(**options: Any) -> Request:
        return Request(
            read_manifest(options.pop("manifest", manifest)),
            options.pop("out", tmp_path / "out"),
            options.pop("settings", settings()),
            **options,
        )

    return make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, clips: Path, workers: Profile) -> Path:
    """A finished build of the clips, to be copied: the folders `manifest` and `out`."""
    folder = tmp_path_factory.mktemp("built")
    ids = sorted(p.stem for p in clips.glob("*.mp4"))
    manifest = write_manifest(folder / "manifest", clips, ids)
    request = Request(read_manifest(manifest), folder / "out", settings())
    report = build(request, workers, Silent())
    assert report.segments == 3, report
    return folder


@pytest.fixture
def done(tmp_path: Path, built: Path, tiny: Callable[..., Request]) -> Callable[..., Request]:
    """As `tiny`, for a folder in which the build has been done."""
    shutil.copytree(built / "out", tmp_path / "out")
    return tiny


@pytest.fixture(scope="session")
def workers(
    tmp_path_factory: pytest.TempPathFactory, importable_plugins: None
) -> Iterator[Profile]:
    """A real Dask scheduler with a worker for downloads and two for the rest."""
    folder = tmp_path_factory.mktemp("dask")
    with DaskCluster(folder, net=1, cpu=2) as address:
        yield profile(address)


@pytest.fixture
def run(workers: Profile) -> Callable[..., Report]:
    """Builds a request with the shared workers."""

    def start(request: Request, profile: Profile = workers) -> Report:
        return build(request, profile, Silent())

    return start
