"""The wheel: complete, and at home in any folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_the_wheel_holds_code_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("manifests", "schemas", "workers"):
        shipped = {p for p in (CHECKOUT / folder).rglob("*") if p.is_file()}
        assert shipped
        for path in shipped:
            assert f"avpipe/data/{path.relative_to(CHECKOUT).as_posix()}" in names
    assert "avpipe/py.typed" in names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/"))]


def test_an_installed_wheel_builds_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target",
         str(home), str(wheel)],
        check=True,
    )  # fmt: skip
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "avpipe",
            "build",
            "demo",
            "--ids",
            "cello-a,trumpet-gone",
            "--json",
        ],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["segments"] == 1
    assert [(f["id"], f["class"]) for f in report["failures"]] == [("trumpet-gone", "removed")]
    assert (elsewhere / "data" / "demo" / "MANIFEST.json").is_file()
