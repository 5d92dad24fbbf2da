"""The exported vectors: they fit their schema, say what the suite says, and are read back without our code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from conformance import SUITE_VERSION, suite
from conformance.bits.safetensors_file import read_safetensors
from conformance.export import PAGE, SCHEMAS, export
from conformance.export.codes import CODES
from conformance.export.flags import FLAGS, POLICY
from conformance.export.folder_notes import FOLDERS
from conformance.formats.registry import FORMATS
from conformance.mutants import MUTANTS, Bug
from mlx_quant.errors import ConversionError, MalformedCheckpoint, UnsupportedFormat

ROOT = Path(__file__).parents[2]
READER = ROOT / "examples/read_vectors/read_vectors.mjs"
SCHEMA_NAMES = ("checkpoints", "manifest", "tests")
# SHA-256 of the sorted ids, a line each. Ids are promised to stay, and new ones to come with a new version.
IDS = {
    "2026.1": "60840320bdadc7f28f73c704ec761f340ff9ff18df685e0828a92c02f5ab3a3f",
    "2026.2": "52beb4633fb19f8f538df48a229e7dd9ed74f6da5caf63ee16173f5e080a24e9",
}

Document = dict[str, Any]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors") / "suite"
    export(folder)
    return folder


@pytest.fixture
def altered(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "copy")


def read(file: Path) -> Document:
    return json.loads(file.read_text(encoding="utf-8"))


def write(file: Path, document: Document) -> None:
    file.write_text(json.dumps(document), encoding="utf-8")


def documents(folder: Path) -> dict[str, Document]:
    return {entry["path"]: read(folder / entry["path"]) for entry in manifest(folder)["files"] if "tests" in entry}


def manifest(folder: Path) -> Document:
    return read(folder / "manifest.json")


def every_test(folder: Path) -> list[Document]:
    return [test for document in documents(folder).values() for test in document["tests"]]


def complaints(folder: Path, document: Document) -> list[str]:
    schema = read(folder / document["schema"])
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def relist(folder: Path, path: str) -> None:
    """Make the manifest right again about a file that was changed."""
    content, data = manifest(folder), (folder / path).read_bytes()
    entry = next(entry for entry in content["files"] if entry["path"] == path)
    content["bytes"] += len(data) - entry["bytes"]
    entry |= {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    write(folder / "manifest.json", content)


def read_back(folder: Path, program: Path = READER) -> subprocess.CompletedProcess[str]:
    node = shutil.which("node")
    assert node, "Node 20 or newer is needed to read the vectors back without our code; https://nodejs.org"
    return subprocess.run([node, program, folder], capture_output=True, text=True, timeout=120)


# ---- Schemas


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_a_schema_is_one_and_travels_with_the_export(exported: Path, name: str) -> None:
    schema = read(SCHEMAS / f"{name}.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert read(exported / f"schema/{name}.schema.json") == schema
    if name != "manifest":
        assert schema["$defs"]["bugType"]["enum"] == [bug.value for bug in Bug]


def test_every_document_fits_its_schema(exported: Path) -> None:
    for path, document in {**documents(exported), "manifest.json": manifest(exported)}.items():
        assert not complaints(exported, document), path


def _drop_expected(document: Document) -> None:
    del document["tests"][0]["expected"]


def _both(document: Document) -> None:
    document["tests"][0]["refusal"] = {"code": "bad-shape", "meaning": "Wrong.", "readings": []}


def _extra(document: Document) -> None:
    document["tests"][0]["surprise"] = 1


def _acceptable(document: Document) -> None:
    document["tests"][0]["result"] = "acceptable"


def _unknown_bug(document: Document) -> None:
    document["notes"]["gptq"]["bugTypes"].append("COSMIC_RAY")


def _plain_link(document: Document) -> None:
    document["notes"]["gptq"]["links"].append("somewhere")


def _short_digest(document: Document) -> None:
    document["tests"][0]["expected"]["sha256"] = "abc"


@pytest.mark.parametrize(
    "spoil", [_drop_expected, _both, _extra, _acceptable, _unknown_bug, _plain_link, _short_digest]
)
def test_a_spoilt_document_does_not_fit(exported: Path, spoil: Callable[[Document], None]) -> None:
    document = read(exported / "gptq_vectors.json")
    spoil(document)
    assert complaints(exported, document)


def test_a_spoilt_checkpoint_does_not_fit(exported: Path) -> None:
    document = read(exported / "checkpoints.json")
    either = next(test for test in document["tests"] if test["result"] == "either")
    del either["weights"]
    assert complaints(exported, document)


# ---- Contents


def test_the_manifest_is_right_about_every_file(exported: Path) -> None:
    listed = {entry["path"]: entry for entry in manifest(exported)["files"]}
    present = {file.relative_to(exported).as_posix(): file for file in exported.rglob("*") if file.is_file()}
    assert listed.keys() == present.keys() - {"manifest.json"}
    for path, entry in listed.items():
        data = present[path].read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), sha256(data).hexdigest()), path
    assert manifest(exported)["bytes"] == sum(entry["bytes"] for entry in listed.values()) < 64_000_000


def test_the_manifest_counts_the_tests(exported: Path) -> None:
    found = manifest(exported)
    levels: dict[str, Counter[str]] = {}
    for path, document in documents(exported).items():
        assert document["numberOfTests"] == len(document["tests"]), path
        levels.setdefault(document["level"], Counter()).update(test["result"] for test in document["tests"])
    for level, counts in levels.items():
        assert found["levels"][level] == {"tests": counts.total(), "either": 0, "refused": 0, "valid": 0} | counts
    assert found["levels"].keys() == levels.keys()
    assert found["tests"] == found["valid"] + found["refused"] + found["either"] == len(every_test(exported))


def test_the_export_is_all_of_the_suite_that_is_data(exported: Path) -> None:
    asked = {question.id for question in suite.questions()}
    asked |= {case.id for case in suite.cases() if re.fullmatch(r"arithmetic/corners-.*-to-its-own", case.id)}
    asked |= {case.id for case in suite.cases() if case.level == "checkpoints" and "/real-" not in case.id}
    ids = [test["id"] for test in every_test(exported)]
    assert len(ids) == len(set(ids))
    assert set(ids) == asked
    flags = {case.id: sorted(case.flags) for case in suite.cases()}
    assert all(test["flags"] == flags[test["id"]] for test in every_test(exported))


def test_ids_stay(exported: Path) -> None:
    ids = "\n".join(sorted(test["id"] for test in every_test(exported)))
    pinned = sha256(ids.encode()).hexdigest()
    assert IDS.get(SUITE_VERSION) == pinned, "ids changed: raise SUITE_VERSION, and pin the new ids with it in IDS"


def test_keys_name_the_tensors_and_nothing_is_left_over(exported: Path) -> None:
    for path, document in documents(exported).items():
        if "tensors" not in document:
            continue
        stored, used = read_safetensors((exported / document["tensors"]).read_bytes()), set()
        for test in document["tests"]:
            weights = [test["expected"]] if "expected" in test else test["refusal"]["readings"]
            for entry in [*test["inputs"].values(), *(weight for weight in weights if "key" in weight)]:
                array = stored[entry["key"]]
                assert (array.dtype, list(array.shape)) == (entry["dtype"], entry["shape"]), entry["key"]
                assert entry.get("sha256", array.sha256()) == array.sha256(), entry["key"]
                used.add(entry["key"])
        assert stored.keys() == used, path


def test_two_exports_are_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert export(tmp_path / "again", said.append) == manifest(exported)
    assert len(said) == len(documents(exported))
    # The manifests hold the digests of all other files.
    assert (tmp_path / "again/manifest.json").read_bytes() == (exported / "manifest.json").read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        export(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_the_page_is_the_one_in_the_docs(exported: Path) -> None:
    # Twice in the repository, because the wheel has no docs.
    assert (ROOT / "docs/vectors.md").read_text() == PAGE.read_text(), "copy the one that you edited over the other"
    assert (exported / "README.md").read_text().startswith(PAGE.read_text())


# ---- Notes


def test_notes_describe_what_is_in_use_and_nothing_else(exported: Path) -> None:
    used = {flag for test in every_test(exported) for flag in test["flags"]}
    own = {flag for format in FORMATS.values() for flag in format.FLAG_NOTES}
    assert not own & FLAGS.keys()
    assert used == FLAGS.keys() | own
    assert {test["refusal"]["code"] for test in every_test(exported) if "refusal" in test} == CODES.keys()
    folders = {test["id"].partition("-")[2] for test in documents(exported)["checkpoints.json"]["tests"]}
    assert folders == FOLDERS.keys() | {id for format in FORMATS.values() for id in format.FOLDER_NOTES}


def test_links_come_from_the_catalogue_or_the_policies(exported: Path) -> None:
    known = {link for mutant in MUTANTS for link in mutant.links}
    policies = (ROOT / "docs/policies.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^## (.*)$", policies, re.M)
    }
    assert set(POLICY.values()) <= anchors
    known |= {f"docs/policies.md#{anchor}" for anchor in anchors}
    for path, document in documents(exported).items():
        notes = [*document["notes"].values(), *document["codes"].values()]
        notes += [test for test in document["tests"] if "links" in test]
        for note in notes:
            assert set(note["links"]) <= known, path
            assert set(note["bugTypes"]) <= {bug.value for bug in Bug}, path


def test_every_kind_of_bug_has_a_note(exported: Path) -> None:
    noted = {
        bug
        for document in documents(exported).values()
        for note in [*document["notes"].values(), *document["codes"].values(), *document["tests"]]
        for bug in note.get("bugTypes", ())
    }
    assert noted == {mutant.bug.value for mutant in MUTANTS}


def test_codes_are_those_of_our_errors() -> None:
    assert CODES.keys() <= UnsupportedFormat.CODES | MalformedCheckpoint.CODES | ConversionError.CODES


# ---- Read back


def test_a_program_without_our_code_reads_all_of_it_back(exported: Path) -> None:
    source = READER.read_text()
    assert set(re.findall(r'from "([^"]*)"', source)) <= {f"node:{name}" for name in ("crypto", "fs", "path", "util")}
    found, expected = read_back(exported), manifest(exported)
    assert found.returncode == 0, found.stdout + found.stderr
    refusals = expected["refused"] + expected["either"]
    assert f"{expected['tests']} tests, {expected['valid']} of them to be read" in found.stdout
    assert f"{refusals} of {refusals} refusals refused, {refusals} with the same code" in found.stdout


def test_it_notices_one_wrong_bit_due_though_every_digest_fits(altered: Path) -> None:
    document = read(altered / "awq_vectors.json")
    due = document["tests"][3]["expected"]
    file = altered / document["tensors"]
    data = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    first, last = json.loads(data[8:start])[due["key"]]["data_offsets"]
    data[start + first] ^= 1
    file.write_bytes(data)
    due["sha256"] = sha256(data[start + first : start + last]).hexdigest()
    write(altered / "awq_vectors.json", document)
    relist(altered, "awq_vectors.json")
    relist(altered, document["tensors"])
    found = read_back(altered)
    assert found.returncode == 1
    assert found.stdout.splitlines()[0] == f"WRONG  {document['tests'][3]['id']}: other bits"
    assert "1 complaints" in found.stdout


def test_it_notices_a_wrong_digest_and_a_wrong_count_in_the_manifest(altered: Path) -> None:
    content = manifest(altered)
    entry = next(entry for entry in content["files"] if entry["path"].endswith("gptq_policies.safetensors"))
    entry["sha256"] = entry["sha256"][::-1]
    content["tests"] += 1
    write(altered / "manifest.json", content)
    found = read_back(altered)
    assert found.returncode == 1
    assert "gptq_policies.safetensors: not the file of the manifest" in found.stdout
    assert "another count of tests" in found.stdout


def test_it_notices_a_refusal_that_is_none_and_a_weight_that_is_another(altered: Path) -> None:
    document = read(altered / "gptq_refusals.json")
    nan = next(test for test in document["tests"] if test["id"] == "refusals/gptq-scale-nan")
    sound = next(test for test in document["tests"] if test["id"] == "refusals/gptq-bits-5")
    nan["inputs"] = sound["inputs"]
    write(altered / "gptq_refusals.json", document)
    relist(altered, "gptq_refusals.json")
    weights = altered / "checkpoints/gptq-plain/checkpoint/model.safetensors"
    data = np.frombuffer(weights.read_bytes(), np.uint8).copy()
    data[-1] ^= 1
    weights.write_bytes(data.tobytes())
    relist(altered, weights.relative_to(altered).as_posix())
    found = read_back(altered)
    assert found.returncode == 1
    assert "refusals/gptq-scale-nan: not refused (decoded)" in found.stdout
    assert "checkpoints/gptq-plain: other weights" in found.stdout
    assert "2 complaints" in found.stdout


@pytest.mark.parametrize(
    ("sound", "faulty"),
    [
        ("(zero + (v1 ? 1 : 0)) & (limit - 1)", "zero + (v1 ? 1 : 0)"),
        ("[0, 4, 1, 5, 2, 6, 3, 7]", "[0, 2, 4, 6, 1, 3, 5, 7]"),
        ("map ? map.data[i] : ", ""),
        ("units - whole > 0.5 ||", "units - whole >= 0.5 ||"),
    ],
)
def test_it_fails_with_a_fault_of_its_own(exported: Path, tmp_path: Path, sound: str, faulty: str) -> None:
    source = READER.read_text()
    assert source.count(sound) == 1
    (tmp_path / READER.name).write_text(source.replace(sound, faulty))
    found = read_back(exported, tmp_path / READER.name)
    assert found.returncode == 1
    assert "complaints" in found.stdout
