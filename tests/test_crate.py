"""`repro-keras export --crate`: what archives of research ask of an RO-Crate."""

import json
import urllib.parse
from pathlib import Path

import pytest
from test_export import command, exported, home  # noqa: F401

from repro_keras._src import record
from repro_keras._src.exports import archive, crate
from repro_keras._src.exports.layout import CRATE

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"


@pytest.fixture
def graph(home):
    exported("--crate", "--max-data", "1")
    content = json.loads(archive.read(Path("run.zip"))[CRATE])
    assert content["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    found = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(found) == len(content["@graph"])
    return found


def test_the_crate_is_an_ro_crate(graph):
    """What RO-Crate 1.1 says with MUST."""
    descriptor, root = graph[CRATE], graph["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset"
    assert root["datePublished"] == "2026-01-01T12:01:00+00:00"
    assert root["name"]
    assert root["description"]
    files = {i for i, e in graph.items() if "File" in e["@type"]}
    parts = {part["@id"] for part in root["hasPart"]}
    assert files <= parts
    names = set(archive.read(Path("run.zip")))
    assert {urllib.parse.unquote(part) for part in parts} == names - {CRATE, "manifest.json"}
    for entity in graph.values():
        assert entity["@id"]
        assert entity["@type"]
        for value in entity.values():
            for link in value if isinstance(value, list) else [value]:
                if isinstance(link, dict) and not link["@id"].startswith(
                    "https://w3id.org/ro/crate"
                ):
                    assert link["@id"] in graph


def test_the_crate_is_a_process_run_crate(graph):
    """What the profile says with MUST, and with SHOULD but for who it was."""
    assert graph["./"]["conformsTo"] == {"@id": PROFILE}
    assert graph[PROFILE]["@type"] == "CreativeWork"
    (action,) = (e for e in graph.values() if e["@type"] == "CreateAction")
    assert graph["./"]["mentions"] == [{"@id": action["@id"]}]
    tool = graph[action["instrument"]["@id"]]
    assert tool["@id"] == "project/train.py"
    assert "SoftwareSourceCode" in tool["@type"]
    assert tool["name"]
    assert tool["version"]
    assert action["name"]
    assert action["description"] == "python train.py --epochs 2"
    assert action["startTime"] == "2026-01-01T12:00:00+00:00"
    assert action["endTime"] == "2026-01-01T12:01:00+00:00"
    assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert [o["@id"] for o in action["object"]] == [
        "project/data/small.csv",
        "project/data/large.csv",
    ]
    assert "File" in graph["project/data/small.csv"]["@type"]
    assert graph["project/data/large.csv"]["@type"] == "CreativeWork"  # it is not in there
    assert [r["@id"] for r in action["result"]] == ["record.json", "#out/net.keras"]


def test_a_crate_of_a_module_that_failed(home):
    (path,) = home.glob(".repro/runs/*/record.json")
    recorded = record.read(path)
    recorded.predicate.code.kind, recorded.predicate.code.target = "module", "pkg.model"
    recorded.predicate.status, recorded.predicate.error = "failed", "ValueError"
    record.write(path, recorded)
    exported("--crate")
    content = json.loads(archive.read(Path("run.zip"))[CRATE])
    found = {entity["@id"]: entity for entity in content["@graph"]}
    (action,) = (e for e in found.values() if e["@type"] == "CreateAction")
    assert found[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
    assert action["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert action["error"] == "ValueError"


def test_a_crate_says_when_it_was_run_or_is_none(home):
    (path,) = home.glob(".repro/runs/*/record.json")
    Path("published.json").write_bytes(path.read_bytes())
    result = command("export", "published.json", "--crate")
    assert result.exit_code == 2
    assert "nobody knows it" in result.stderr


def test_rocrate_reads_the_crate(graph, tmp_path):
    rocrate = pytest.importorskip("rocrate.rocrate")
    found = rocrate.ROCrate("run.zip")
    assert found.root_dataset["conformsTo"].id == PROFILE
    (action,) = found.root_dataset["mentions"]
    assert action["instrument"].id == "project/train.py"
    assert found.root_dataset["datePublished"] == "2026-01-01T12:01:00+00:00"
    assert {file.id for file in found.data_entities} >= {"project/data/small.csv", "record.json"}


def test_names_in_a_crate_are_addresses():
    assert crate._id("project/a b#1.csv") == "project/a%20b%231.csv"
    assert crate._id("#out/a#b") == "#out/a%23b"
