"""What to cite, and whom to credit."""

import json

import avpipe
from avpipe.cite import cite
from avpipe.detectors import module
from avpipe.ledger import FILE, Ledger
from avpipe.store import Store

MINI = (
    'name = "mini"\ntitle = "Mini"\nlicence = "as its page says"\ncitation = "Nobody 2026"\n'
    'source = "youtube"\nfps = 25\nsample_rate = 11025\nfields = ["audio"]\n'
    'recordings = "mini.csv"\n'
)


def mini(folder, rows):
    (folder / "mini.csv").write_text(rows)
    (folder / "mini.toml").write_text(MINI)
    return avpipe.read_manifest(folder / "mini.toml")


def built(out, pages, segments=((0, 9),), topologies=None):
    """A folder with a complete recording for every page."""
    store = Store(out / "work")
    with Ledger(out / FILE, write=True) as ledger:
        for i, (name, page) in enumerate(pages.items()):
            folder, key = store.temporary(), f"{i:064d}"
            (folder / "info.sidecar.json").write_text(json.dumps(page))
            store.publish(folder, "download", key, {}, {})
            summary = {
                "segments": segments,
                "keys": {"download": key},
                "topologies": topologies or {},
                "detector": {"detector": "mediapipe-solutions"},
            }
            ledger.completed(name, summary)
    return out


def test_before_a_build_the_dataset_is_cited_with_the_credits_of_its_list():
    found = cite(avpipe.read_manifest("demo"))
    assert found.bibtex[0].startswith("@article{li2019urmp")
    assert found.bibtex[-1].startswith("@software{avpipe")
    cello = next(a for a in found.attributions if a.recording == "cello-a")
    assert str(cello) == (
        "cello-a, by Music Technology Group, Universitat Pompeu Fabra (sms-tools), CC-BY-4.0,"
        " https://github.com/MTG/sms-tools"
    )


def test_a_citation_in_words_becomes_an_entry(tmp_path):
    found = cite(mini(tmp_path, "id,category\na,x\n"))
    assert "@misc{mini" in found.bibtex[0]
    assert "Nobody 2026" in found.bibtex[0]
    assert found.attributions == ()


def test_after_a_build_what_was_used_is_credited_as_its_page_says(tmp_path):
    manifest = mini(tmp_path, "id,category,licence,credit\na,x,,\nb,x,CC0-1.0,Bo\nunused,x,,\n")
    page = {
        "title": "Prelude",
        "channel": "Anna plays",
        "license": "Creative Commons Attribution",
        "webpage_url": "https://www.youtube.com/watch?v=a",
    }
    out = built(tmp_path, {"a": page, "b": {"channel": "Somebody"}})
    first, second = cite(manifest, out).attributions
    assert str(first) == (
        '"Prelude", by Anna plays, Creative Commons Attribution, https://www.youtube.com/watch?v=a'
    )
    assert (second.recording, second.author, second.licence) == ("b", "Bo", "CC0-1.0")


def test_recordings_without_a_segment_are_not_used(tmp_path):
    manifest = mini(tmp_path, "id,category\na,x\n")
    out = built(tmp_path, {"a": {"title": "T"}}, segments=())
    assert cite(manifest, out).attributions == ()


def test_the_detector_that_found_keypoints_is_cited(tmp_path):
    manifest = mini(tmp_path, "id,category\na,x\n")
    out = built(tmp_path, {"a": {}}, topologies={"skeleton": "openpose67"})
    assert module("mediapipe-solutions").CITATION.strip() in cite(manifest, out).bibtex


def test_the_text_is_bibtex_with_the_credits_as_comments(tmp_path):
    manifest = mini(tmp_path, "id,category\na,x\n")
    text = cite(manifest, built(tmp_path, {"a": {"title": "Two\nlines"}})).as_text()
    credits = [line for line in text.splitlines() if "Two" in line or "lines" in line]
    assert credits == ['% "Two lines", as its page says']
    document = json.loads(json.dumps(cite(manifest, tmp_path).as_json()))
    assert document["attributions"][0]["title"] == "Two\nlines"
