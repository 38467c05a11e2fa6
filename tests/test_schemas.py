"""What is written is what the schemas say."""

import json

import jsonschema
import pytest

import avpipe
from avpipe.resources import folder
from avpipe.shards import pack
from avpipe.store import Store, canonical, sha256_text
from tiny_dataset import facts, members


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((folder("schemas") / f"{name}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", sorted(folder("schemas").glob("*.json")), ids=lambda p: p.name)
def test_every_schema_is_a_schema(path):
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_index_and_manifest_of_a_dataset_are_as_declared(tmp_path):
    pack(tmp_path, facts(), members(tmp_path / "w"))
    validator("dataset").validate(json.loads((tmp_path / "MANIFEST.json").read_text()))
    index = avpipe.open_dataset(tmp_path).index
    rows = json.loads(index.to_json(orient="records"))
    assert len(rows) == 5
    for row in rows:
        validator("index").validate(row)


@pytest.mark.parametrize(
    "document",
    [
        {"stage": "download", "inputs": {"dataset": "tiny", "id": "a"}},
        {
            "stage": "video",
            "version": 1,
            "parameters": {"fps": 25},
            "tool": {"ffmpeg": "n7"},
            "inputs": {"download": "a" * 64},
        },
    ],
    ids=["source", "stage"],
)
def test_the_provenance_of_an_artifact_is_as_declared(tmp_path, document):
    store, key = Store(tmp_path), sha256_text(canonical(document))
    filled = store.temporary()
    (filled / "data.json").write_text("{}")
    store.publish(filled, document["stage"], key, document, {"recording": "a", "seconds": 0.1})
    validator("provenance").validate(store.provenance(document["stage"], key))
