"""The store: complete or not there, digests of content alone, damage named."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avpipe.errors import AvpipeError
from avpipe.store import PROVENANCE, Store, canonical, content_digest

KEY = "ab" * 32


def publish(store: Store, key: str = KEY, **files: str) -> str:
    folder = store.temporary()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return store.publish(folder, "video", key, {"inputs": {}}, {"recording": "a"}).digest


def test_an_artifact_is_where_its_key_says_with_its_provenance(tmp_path: Path) -> None:
    store = Store(tmp_path / "work")
    digest = publish(store, data="1", notes__sidecar__json="{}")
    assert store.path("video", KEY) == tmp_path / "work" / "video" / "ab" / KEY
    assert store.keys("video") == {KEY}
    assert list(store.artifacts()) == [("video", KEY)]
    found = store.read("video", KEY)
    assert (found.digest, found.bytes) == (digest, 3)
    assert store.provenance("video", KEY)["files"]["data"]["bytes"] == 1
    assert store.problems("video", KEY) == []
    assert list((tmp_path / "work" / "tmp").iterdir()) == []


def test_the_digest_is_that_of_the_data_and_not_of_the_sidecars(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = publish(store, "aa" * 32, data="1", notes__sidecar__json="one")
    assert publish(store, "bb" * 32, data="1", notes__sidecar__json="two") == first
    assert publish(store, "cc" * 32, data="2", notes__sidecar__json="one") != first
    assert publish(store, "dd" * 32, other="1", notes__sidecar__json="one") != first


def test_the_first_of_two_publications_stands(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = publish(store, data="first")
    assert publish(store, data="second") == first
    assert (store.path("video", KEY) / "data").read_text() == "first"
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "data").write_text("tampered"), "data has 8 bytes, not 5"),
        (lambda f: (f / "data").write_text("DATA!"), "data does not have its recorded sha256"),
        (lambda f: (f / "data").unlink(), "data is missing"),
        (lambda f: (f / "more").touch(), "more does not belong there"),
        (lambda f: (f / PROVENANCE).write_text("{"), "no readable provenance"),
        (lambda f: (f / PROVENANCE).write_text('{"key": "x", "stage": "y"}'), "says y x"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: object, problem: str) -> None:
    store = Store(tmp_path)
    publish(store, data="data!")
    damage(store.path("video", KEY))  # type: ignore[operator]
    (found,) = store.problems("video", KEY)
    assert problem in found


def test_a_forged_digest_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, data="data!")
    path = store.path("video", KEY) / PROVENANCE
    path.write_text(json.dumps({**json.loads(path.read_text()), "digest": "0" * 64}))
    assert store.problems("video", KEY) == ["the recorded digest does not follow from its files"]


def test_what_is_removed_is_gone_and_what_a_crash_left_is_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, data="1")
    store.remove("video", KEY)
    assert list(store.artifacts()) == []
    (store.temporary() / "half").write_text("...")
    store.sweep()
    assert not (tmp_path / "tmp").exists()
    store.sweep()


def test_a_missing_artifact_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AvpipeError, match=KEY):
        Store(tmp_path).read("video", KEY)
    assert Store(tmp_path / "none").keys("video") == set()
    assert list(Store(tmp_path / "none").artifacts()) == []


def test_a_kill_while_publishing_leaves_all_or_nothing(tmp_path: Path) -> None:
    """SIGKILL at every call that touches the disk."""
    step = 0
    while True:
        root = tmp_path / str(step)
        if _publish_and_die(root, step):
            break
        store = Store(root)
        assert all(store.problems(*item) == [] for item in store.artifacts())
        store.sweep()
        publish(store, data="1", more="2")
        assert store.problems("video", KEY) == []
        step += 1
    assert step > 6


def _publish_and_die(root: Path, step: int) -> bool:
    """Publishes in a forked process that is killed at its `step`th call; True if it got through."""
    child = os.fork()
    if child == 0:
        left = [step]

        def deadly(function: object) -> object:
            def call(*args: object, **kwargs: object) -> object:
                if left[0] == 0:
                    os.kill(os.getpid(), 9)
                left[0] -= 1
                return function(*args, **kwargs)  # type: ignore[operator]

            return call

        for name in ("fsync", "rename", "mkdir"):
            setattr(os, name, deadly(getattr(os, name)))
        publish(Store(root), data="1", more="2")
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_canonical_json_is_json_and_does_not_depend_on_the_order_of_keys(value: object) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(_reversed(value)) == text


def _reversed(value: object) -> object:
    if isinstance(value, dict):
        return {k: _reversed(v) for k, v in reversed(value.items())}
    return [_reversed(v) for v in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1), st.data())
def test_content_digests_differ_where_content_does(
    files: dict[str, str], data: st.DataObject
) -> None:
    listed = {n: {"bytes": 1, "sha256": s} for n, s in files.items() if ".sidecar" not in n}
    if not listed:
        return
    name = data.draw(st.sampled_from(sorted(listed)))
    changed = {**listed, name: {"bytes": 1, "sha256": listed[name]["sha256"] + "x"}}
    fewer = {n: f for n, f in listed.items() if n != name}
    assert len({content_digest(f) for f in (listed, changed, fewer)}) == 3


def test_a_copy_of_a_store_is_as_good(tmp_path: Path) -> None:
    store = Store(tmp_path / "work")
    publish(store, data="1")
    shutil.copytree(tmp_path / "work", tmp_path / "copy")
    assert Store(tmp_path / "copy").problems("video", KEY) == []
