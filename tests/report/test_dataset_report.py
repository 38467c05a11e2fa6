"""The report of a built dataset."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from avpipe import cli
from avpipe.errors import DatasetError
from avpipe.report.dataset import write_report
from avpipe.report.facts import MAX_BINS, histogram, manifest_of, read_facts
from avpipe.report.sheet import PICTURES, chosen, waveform
from avpipe.shards.catalogue import read_catalogue
from detected_dataset import HOSTILE, write

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps what a test asks for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def every(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def text(built, tmp_path_factory):
    out, manifest = built
    target = tmp_path_factory.mktemp("page") / "report.html"
    write_report(out, manifest, target)
    return target.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_whole_and_its_links_lead_somewhere(page):
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [a["href"] for a in page.every("a")]
    assert len(links) >= 8
    assert {link.removeprefix("#") for link in links} <= ids


def test_the_page_runs_and_loads_nothing(page, text):
    assert not {tag for tag, _ in page.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "form",
    }
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,"))
    policy = next(m["content"] for m in page.every("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_what_strangers_wrote_is_text(page):
    written = "".join(page.text)
    assert written.count(HOSTILE) >= 4  # title, licence, notes, message of a failure
    assert "Nobody (2020) </pre>" in written
    assert "<b>Li</b>" in written


def test_the_page_says_what_was_built(page, built):
    written = "".join(page.text)
    for digest in (f["sha256"] for f in read_catalogue(built[0]).files.values()):
        assert digest in written
    assert "2 (4,711)" in written  # two violins built, beside the published number
    assert "a paper of 1999" in written
    assert "toy 1.0" in written  # what made the shards; the other detection is not in them
    assert "finder" not in written
    assert "removed" in written
    assert "1 no_hands" in written
    assert "min_frames" in written


def test_clips_are_drawn(page):
    pictures = [i["src"] for i in page.every("img")]
    assert len(pictures) == 2
    for picture in pictures:
        data = base64.b64decode(picture.partition(",")[2], validate=True)
        assert Image.open(io.BytesIO(data)).size[0] >= 400


def test_the_same_dataset_gives_the_same_page(built, text, tmp_path):
    write_report(*built, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_hands_and_failures_are_counted(built):
    facts = read_facts(*built)
    assert [(h.category, h.frames, h.shares["left"]) for h in facts.hands] == [
        ("violin", 125, pytest.approx(0.5, abs=0.01))
    ]
    assert (facts.failed, facts.empty) == (1, {"no_hands": 1})
    assert {made.stage for made in facts.made} == {"video", "detect", "segment"}


def test_a_folder_without_its_manifest_says_what_it_knows(built, tmp_path):
    manifest = manifest_of(built[0])
    assert {r.id for r in manifest.recordings} == {"filmed", "still", "gone"}
    assert manifest.title == HOSTILE
    target = tmp_path / "r.html"
    assert cli.run(["report", str(built[0]), "--out-file", str(target)]) == 0
    assert "filmed" in "".join(Page(target.read_text()).text)


def test_the_command_says_where_the_page_is(built, tmp_path, capsys):
    out, manifest = built
    target = tmp_path / "r.html"
    arguments = ["report", str(manifest.path), "--out", str(out), "--out-file", str(target)]
    assert cli.run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"dataset": "tiny", "page": str(target)}
    assert re.match("<!doctype html>", target.read_text())


def test_nothing_published_is_an_error(built, tmp_path):
    with pytest.raises(DatasetError, match="not a built dataset"):
        write_report(tmp_path, built[1], tmp_path / "r.html")


@pytest.mark.parametrize("longest", [0.4, 7, 11.9, 100, 5000, 80000])
def test_a_histogram_counts_every_length_in_few_bins(longest):
    lengths = [longest * i / 50 for i in range(1, 51)]
    found = histogram(lengths)
    assert sum(found.counts) == 50
    assert len(found.counts) <= MAX_BINS
    assert (len(found.counts) - 1) * found.step_seconds <= longest
    assert len(found.counts) * found.step_seconds > longest


def test_a_histogram_of_nothing_is_empty():
    assert histogram([]).counts == (0,)
    assert histogram([5.0, 5.4, 6.0]).counts[10:] == (2, 0, 1)


def test_the_sheet_takes_as_many_of_every_category_spread_over_its_ids():
    rows = [(f"{c}{i:03d}", c) for c in "abc" for i in range(100)]
    assert chosen(rows)[:4] == ["a000", "a025", "a050", "a075"]
    assert len(chosen(rows)) == 12
    assert chosen(rows[::-1]) == chosen(rows)
    assert len(chosen([(f"r{i}", f"c{i}") for i in range(500)])) == PICTURES
    assert chosen([]) == []


def test_a_clip_without_pictures_shows_its_sound():
    loud = waveform(np.sin(np.linspace(0, 5000, 9000), dtype=np.float32))
    drawn = (loud != waveform(None)).any(axis=2)
    assert drawn.mean() > 0.3
    assert not drawn[0].any()  # it leaves a margin above
    assert waveform(np.zeros(3, np.float32)).shape == loud.shape
