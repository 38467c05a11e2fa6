"""The line: what is needed, and what makes a key."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.dag import FIELDS, LINE, line, upstream, with_grid
from avpipe.errors import UsageError
from avpipe.manifest import Manifest, read_manifest
from avpipe.stages import load
from avpipe.types import Recording

DEMO = read_manifest("demo")
RECORDING = Recording("a", "violin")


def keys(manifest: Manifest = DEMO, **settings: dict[str, object]) -> dict[str, str]:
    digests = dict.fromkeys(LINE, "d")
    return {
        n.name: n.key(RECORDING, manifest.name, digests) for n in line(manifest, settings=settings)
    }


def changed(**settings: dict[str, object]) -> set[str]:
    before, after = keys(), keys(**settings)
    return {name for name in before if before[name] != after.get(name)}


def test_every_stage_stands_after_what_it_reads() -> None:
    for i, name in enumerate(LINE):
        assert set(load(name).NEEDS) <= set(LINE[:i])
    assert upstream("interpolate") == {"interpolate", "detect", "video", "download"}


def test_fields_decide_which_stages_there_are() -> None:
    names = [n.name for n in line(DEMO)]
    assert names == ["download", "video", "audio", "detect", "segment", "interpolate"]
    audio_only = {"segment": {"source": "whole"}}
    names = [n.name for n in line(DEMO, wanted=("audio",), settings=audio_only)]
    assert names == ["download", "audio", "segment"]
    assert set(FIELDS.values()) <= set(LINE)


@pytest.mark.parametrize(
    ("settings", "stages"),
    [
        ({"segment": {"max_gap": 6}}, {"segment"}),
        ({"audio": {"sample_rate": 8000}}, {"audio", "segment"}),
        ({"video": {"crf": 20}}, {"video"}),
        ({"detect": {"detector": "plugins.toy", "options": {"weights": "b"}}}, {"detect"}),
        ({"detect": {"device": "cpu"}}, set()),
        ({"download": {"rate_limit_bytes": 1000}}, set()),
        ({"video": {"timeout_seconds": 9.0}}, set()),
        ({"video": {"fps": 24.0}}, {"video", "audio", "segment"}),
    ],
)
def test_a_parameter_changes_the_keys_of_its_stage_alone(
    settings: dict[str, dict[str, object]], stages: set[str]
) -> None:
    assert changed(**settings) == stages


def test_a_download_is_named_by_dataset_and_id_and_nothing_else() -> None:
    other = replace(DEMO, source="https://elsewhere.org/{id}", licence="other")
    assert keys(other)["download"] == keys()["download"]
    assert keys(replace(DEMO, name="other"))["download"] != keys()["download"]
    assert keys(replace(DEMO, name="other"))["video"] == keys()["video"]


def test_given_times_are_part_of_the_key_of_their_segments() -> None:
    (node,) = (
        n for n in line(DEMO, settings={"segment": {"source": "given"}}) if n.name == "segment"
    )
    first = replace(RECORDING, start_seconds=1.0)
    second = replace(RECORDING, start_seconds=2.0)
    digests = {"audio": "d", "detect": "e"}
    assert node.key(first, "demo", digests) != node.key(second, "demo", digests)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["download", "detect", "audio"]), st.text(max_size=9)))
def test_a_key_follows_from_the_digests_of_the_inputs(digests: dict[str, str]) -> None:
    known = dict.fromkeys(LINE, "x")
    for node in line(DEMO):
        same = all(digests.get(n, "x") == "x" for n in node.needs)
        key = node.key(RECORDING, "demo", known | digests)
        assert (key == node.key(RECORDING, "demo", known)) == same
        assert key == node.key(RECORDING, "demo", known | digests)


def test_the_key_of_a_golden_stage_stays(tmp_path: Path) -> None:
    """Keys are forever: whoever changes how they are made makes every dataset build anew."""
    (node,) = (n for n in line(DEMO) if n.name == "download")
    assert node.key(RECORDING, "demo", {}) == (
        "9157a39519e020e206048ea425ba7153840443ac7f7f68ea8d692121f60d99c2"
    )


def test_what_is_unknown_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="unknown field 'lips'; there are audio"):
        line(DEMO, wanted=("lips",))
    with pytest.raises(UsageError, match="unknown stage 'segmentation' in --set"):
        line(DEMO, settings={"segmentation": {}})
    with pytest.raises(UsageError, match="unknown parameter 'gap'"):
        line(DEMO, settings={"segment": {"gap": 1}})


def test_the_time_grid_is_one_for_the_dataset() -> None:
    assert with_grid(DEMO, {"audio": {"sample_rate": 8000}}).sample_rate == 8000
    assert with_grid(DEMO, {"segment": {"max_gap": 1}}) == DEMO
    with pytest.raises(UsageError, match="fps is one for all stages"):
        with_grid(DEMO, {"audio": {"fps": 24.0}, "video": {"fps": 25.0}})


def test_a_detector_that_cannot_use_a_gpu_is_run_by_cpu_workers() -> None:
    def pool(**detect: object) -> str:
        return next(n.pool for n in line(DEMO, settings={"detect": detect}) if n.name == "detect")

    assert pool(detector="mediapipe") == "gpu"
    assert pool(detector="mediapipe", device="cpu") == "cpu"
    assert pool(detector="plugins.toy") == "cpu"
