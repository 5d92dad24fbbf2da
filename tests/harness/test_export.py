"""The exported vectors: they fit their schema, say what the suite says, and are read back without our code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib import import_module
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
from conformance.export.modules import groups
from conformance.formats.registry import BY_SLUG, FORMATS
from conformance.levels.folders.sound import build_of
from conformance.mutants import MUTANTS, Bug
from conformance.run.claims import Claim
from mlx_quant.errors import ConversionError, MalformedCheckpoint, UnsupportedFormat

ROOT = Path(__file__).parents[2]
READER = ROOT / "examples/read_vectors/read_vectors.mjs"
SCHEMA_NAMES = ("checkpoints", "manifest", "tests")
# Levels that an export names and does not hold.
GENERATED = {"sizes"}
# SHA-256 of the sorted ids of a format, a line each, by suite: new ids come with a new version. That those of older
# suites are still there, test_gate.py holds.
IDS = {
    "2026.4": {
        "awq": "d4a0327120eac672a7513895fef0e4f8650b0914b13e80ba96d978b8f1d3ac56",
        "awq_gemv": "2e8b6617b42150eef9f177b1ca75b399d9f4c19abe23dd9f1f9faa7ed7ea3975",
        "awq_gemv_fast": "84200363e99dcff012293fcd6771f71bb438fe707edf47f07b3bb73a49aa125a",
        "bnb_4bit": "76e6f5f7df16267f894eda9dcb57daf645a79d410aeea5f30989c5b109bd2903",
        "bnb_int8": "f0e619c8e34a4ddfc3dad110ce628a5772eeea0d4b4cbcbb07976e9296ecec58",
        "ct_int": "79888988eade71abd24c1aa6ba4b3ed3fce70e92f99f7cecaef9c7e3f2181c3e",
        "ct_packed": "3c2f32571701ce5caedca30f999a49d11052d5baaecad623135f137298981c93",
        "fp8": "61352bfdc43ddb1287c58e99c638e5180bf7c5c6535a5ad4d5079475872bf0e9",
        "gptq": "21cab698c9a71636ee66a671194ea00651feee964b016b2360fc093c9194f043",
        "gptq_marlin": "d823ed3baf345b626b925602d8a360dc90cb98c702895be6df1fcea436581a33",
        "gptq_planar": "5e4a04fcf48c593787c40abd279060fa2adfd7e980c03dac1ad8c6508476ecb2",
        "mxfp4": "388a60fa3e73233a143d632a3d2900b65daedb4e5adcb83b7734155463e51cc5",
        "nvfp4": "e72ca380c9781401e045e2eb57570e0fb02cd2102d1cf75aafc422a1b7828de3",
    },
    "2026.5": {
        "aqlm": "183c51d064539b39be922b3bd7b3eba29f2f536d851b3e47ee9cf05657ea81b6",
        "awq": "7a1d3f00a97d06e0d75ebb8ea6c7e8a5194f7eb9066d32ca27a12a576815d808",
        "awq_gemv": "2e8b6617b42150eef9f177b1ca75b399d9f4c19abe23dd9f1f9faa7ed7ea3975",
        "awq_gemv_fast": "84200363e99dcff012293fcd6771f71bb438fe707edf47f07b3bb73a49aa125a",
        "bitnet": "efe3a98a32ddbd97c82f001f96ce2bea006a543459435b0b789e88a44421b46b",
        "bnb_4bit": "76e6f5f7df16267f894eda9dcb57daf645a79d410aeea5f30989c5b109bd2903",
        "bnb_int8": "f0e619c8e34a4ddfc3dad110ce628a5772eeea0d4b4cbcbb07976e9296ecec58",
        "ct_int": "205a38f182c50a25bb0b1962f48496231953ed10ed7ac6f391f04f5aab7b8432",
        "ct_packed": "127e117acd194ee923bf8c0fc033125d71160aed4a5961a47281981efb39681e",
        "fp8": "b7e6fd22a08f4f00898c8edd7913dcd2faed443c242bb13ce1780bca771ee1a0",
        "fp8_parts": "4ef8f7c82ea7b76da7a18d30fb668299eb59e96dfda220ac1534d320a5c28372",
        "gemma_quant": "ff5b0a7f1213a6ba94c4277fe4c1b2ddb4fa5bf6caa12e781b931abfaddfb0a3",
        "gptq": "21cab698c9a71636ee66a671194ea00651feee964b016b2360fc093c9194f043",
        "gptq_marlin": "d823ed3baf345b626b925602d8a360dc90cb98c702895be6df1fcea436581a33",
        "gptq_narrow": "df48e5cb0e294b329c5a4845eb52def2c6b251ea321f6721434d2a82a27c7703",
        "gptq_planar": "5e4a04fcf48c593787c40abd279060fa2adfd7e980c03dac1ad8c6508476ecb2",
        "hqq": "f856a00ecd003ec0c96e286de435c11dd2d41e44ac645ccfb9ac31f79db6fc5f",
        "metal": "a8331ba8d0661ac035615890b9ad820a6178af011c5eda15d23d7b36dff12c2e",
        "modelopt_int4": "a9fab01ecd38751bdff892346e336358e1817cce217c73e0ef9aab4a90e151f6",
        "mxfp4": "9035cd40ca1fb6a31495298e2cc3aa37fd2fcfca97a906f8cee60ac80117bbb6",
        "nvfp4": "e72ca380c9781401e045e2eb57570e0fb02cd2102d1cf75aafc422a1b7828de3",
        "paroquant": "3cfb3e55d88f208326c0281db5acc6f4a995fe6245a6456e39be4d8c4b900b4d",
        "qqq": "46348cfd575cf75089cf7e04f392284d0cb041eacb13801e45aea3663201ddab",
        "quanto_int4": "79386eeb237675d1a782ba3d6165c29466a261e201eba1aa0dcff8f8059775f8",
        "quanto_int8": "b840a8330d5c8e3da1833d2839d08fc23a916ad99ea1e270b28f991b3bde7b3a",
        "quark_int": "30890b1ef98f3876dfdd5ac3c4a97b1a6d0eaedb50de84a63e5de30f5a5215f7",
        "sinq": "bb3771ad34fea8f157ee729376807a20bea8529160b81e3b6e0ee1c040ffdda5",
        "torchao_int8": "ef52c6f66e4bcaa5c42a7bd1e02f3cc23fa55091c6041cd2ab10fc67c19664e5",
        "torchao_mx": "a0ac64e37c58f455a8862764952c4d3052732e631ac864d4c4be85f2f8c520d3",
        "vptq": "a75f1c6c5344289c840d54a99302ffb839225e4b8987ca56ac8bb83cf23b0e2c",
    },
}

# Refused for what the suite's own decoders look for under a name that this program does not read.
OTHER_NAMES = {"checkpoints/awq-gemv"}
# Levels that lie in files: enough to notice a fault of a reader.
BRIEF = {"vectors", "policies", "refusals"}

Document = dict[str, Any]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("vectors") / "suite")


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another export, of some of what a program that reads GPTQ and AWQ decodes."""
    few = [group for group in groups() if group.format in ("awq", "gptq") and group.level in BRIEF]
    plain = [build_of(BY_SLUG[slug], "plain").folder() for slug in ("awq", "gptq")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conformance.export.groups", lambda: few)
        patch.setattr(import_module("conformance.export.checkpoints"), "folders", lambda _: plain)
        folder = written(tmp_path_factory.mktemp("brief") / "suite")
    assert read_back(folder).returncode == 0
    return folder


@pytest.fixture
def altered(brief: Path, tmp_path: Path) -> Path:
    return shutil.copytree(brief, tmp_path / "copy")


def written(folder: Path) -> Path:
    said: list[str] = []
    assert export(folder, said.append) == manifest(folder)
    assert len(said) == len(documents(folder))
    return folder


def read(file: Path) -> Document:
    return json.loads(file.read_text(encoding="utf-8"))


def write(file: Path, document: Document) -> None:
    file.write_text(json.dumps(document), encoding="utf-8")


@cache
def documents(folder: Path) -> dict[str, Document]:
    return {entry["path"]: read(folder / entry["path"]) for entry in manifest(folder)["files"] if "tests" in entry}


def manifest(folder: Path) -> Document:
    return read(folder / "manifest.json")


def every_test(folder: Path) -> list[Document]:
    return [test for document in documents(folder).values() for test in document["tests"]]


def complaint(folder: Path, document: Document) -> str:
    """The first, or none."""
    schema = read(folder / document["schema"])
    return next((error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)), "")


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
    written, schema = read(SCHEMAS / f"{name}.schema.json"), read(exported / f"schema/{name}.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {**schema, "$defs": written["$defs"]} == written
    assert schema["$defs"].keys() == written["$defs"].keys()
    assert set(schema["$defs"]["format"]["enum"]) == {format.SLUG for format in FORMATS.values()}
    if name != "manifest":
        assert set(schema["$defs"]["bugType"]["enum"]) == {bug.value for bug in Bug}


@pytest.mark.parametrize("name", ["manifest.json", "awq_vectors.json", "checkpoints.json"])
def test_a_schema_knows_no_format_but_those_of_the_suite(exported: Path, name: str) -> None:
    document = read(exported / name)
    entries = [document, *(entry for value in document.values() if isinstance(value, list) for entry in value)]
    next(entry for entry in entries if "format" in entry)["format"] = "gguf"
    assert complaint(exported, document)


def test_every_document_fits_its_schema(exported: Path) -> None:
    for path, document in {**documents(exported), "manifest.json": manifest(exported)}.items():
        assert complaint(exported, document) == "", path


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
    assert complaint(exported, document)


def test_a_spoilt_checkpoint_does_not_fit(exported: Path) -> None:
    document = read(exported / "checkpoints.json")
    either = next(test for test in document["tests"] if test["result"] == "either")
    del either["weights"]
    document["tests"] = [either]
    assert complaint(exported, document)


# ---- Contents


def test_the_manifest_is_right_about_every_file(exported: Path) -> None:
    listed = {entry["path"]: entry for entry in manifest(exported)["files"]}
    present = {file.relative_to(exported).as_posix(): file for file in exported.rglob("*") if file.is_file()}
    assert listed.keys() == present.keys() - {"manifest.json"}
    for path, entry in listed.items():
        data = present[path].read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), sha256(data).hexdigest()), path
    assert manifest(exported)["bytes"] == sum(entry["bytes"] for entry in listed.values()) < 220_000_000


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
    asked = {question.id for question in suite.questions() if question.level not in GENERATED}
    asked |= {case.id for case in suite.cases() if re.fullmatch(r"arithmetic/corners-.*-to-its-own", case.id)}
    asked |= {case.id for case in suite.cases() if case.level == "checkpoints" and "/real-" not in case.id}
    ids = [test["id"] for test in every_test(exported)]
    assert len(ids) == len(set(ids))
    assert set(ids) == asked
    flags = {case.id: sorted(case.flags) for case in suite.cases()}
    assert all(test["flags"] == flags[test["id"]] for test in every_test(exported))


def test_what_is_generated_is_named_and_nowhere(exported: Path) -> None:
    left = Counter(question.level for question in suite.questions() if question.level in GENERATED)
    assert manifest(exported)["generated"] == left
    assert left.keys() == GENERATED
    assert not GENERATED & manifest(exported)["levels"].keys()
    # Every other level that has questions is there, for each format that has some.
    due = {(question.level, question.format) for question in suite.questions()}
    held = {(document["level"], document.get("format")) for document in documents(exported).values()}
    assert {pair for pair in due if pair[0] not in GENERATED} <= held


def test_weights_are_stored_by_the_rule_that_the_page_gives(exported: Path) -> None:
    assert "at most 32 KiB" in PAGE.read_text()
    stored = Counter[bool]()
    for document in documents(exported).values():
        for test in document["tests"]:
            if document["level"] == "checkpoints" or "expected" not in test:
                continue
            due = test["expected"]
            size = int(np.prod(due["shape"])) * {"float32": 4, "float16": 2, "bfloat16": 2}[due["dtype"]]
            assert ("key" in due) == (document["level"] in ("vectors", "policies") or size <= 32 * 1024), test["id"]
            stored["key" in due] += 1
    assert stored[True] > 900
    assert stored[False] > 900


def test_ids_stay(exported: Path) -> None:
    ids: dict[str, list[str]] = {case.format: [] for case in suite.cases()}
    formats = {case.id: case.format for case in suite.cases()}
    left = [question.id for question in suite.questions() if question.level in GENERATED]
    for id in [*(test["id"] for test in every_test(exported)), *left]:
        ids[formats[id]].append(id)
    pinned = {format: sha256("\n".join(sorted(own)).encode()).hexdigest() for format, own in ids.items()}
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
        once = Counter((array.dtype, tuple(array.shape), array.sha256()) for array in stored.values())
        assert set(once.values()) == {1}, path


def test_a_key_that_two_tests_share_is_of_equal_tensors(exported: Path) -> None:
    asked = {question.id: question for question in suite.questions()}
    shared = 0
    for document in documents(exported).values():
        if "tensors" not in document:
            continue
        stored = read_safetensors((exported / document["tensors"]).read_bytes())
        for test in document["tests"]:
            for name, entry in test["inputs"].items():
                if test["id"] in asked:
                    array = asked[test["id"]].tensors[name]
                    found = stored[entry["key"]]
                    assert (found.dtype, found.shape) == (array.dtype, array.shape), entry["key"]
                    assert np.array_equal(found.bits, array.bits), entry["key"]
                shared += entry["key"] != f"{test['id']}/{name}"
    assert shared > 500


def test_two_exports_are_the_same_bytes(exported: Path, brief: Path) -> None:
    # The manifests hold the digests of all other files.
    whole, part = ({entry["path"]: entry for entry in manifest(folder)["files"]} for folder in (exported, brief))
    other = {path for path, entry in part.items() if entry != whole[path]}
    assert other == {"README.md", "checkpoints.json"}
    tests, some = (documents(folder)["checkpoints.json"]["tests"] for folder in (exported, brief))
    assert all(test in tests for test in some)


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
    assert f"{expected['tests']} tests, {expected['valid']} of them to be read" in found.stdout
    # It says what it leaves out, and that is what it does not claim; everything else is judged.
    claim = Claim(frozenset({"gptq", "awq"}), frozenset({"awq-else"}))
    cases = {case.id: case for case in suite.cases()}
    read, left = [], Counter[str]()
    for test in every_test(exported):
        if claim.covers(case := cases[test["id"]]):
            read.append(test)
        else:
            left[case.format] += 1
    assert len(read) > 1000
    assert f", {left.total()} left out, which this program does not read: " in found.stdout
    said = found.stdout.partition("does not read: ")[2].partition("\n")[0]
    assert dict(pair.split(" ") for pair in said.split(", ")) == {slug: str(count) for slug, count in left.items()}
    for level, count in expected["generated"].items():
        assert f"{level}: {count} tests are generated" in found.stdout
    refusals = sum(test["result"] != "valid" for test in read)
    alike = refusals - len(OTHER_NAMES & {test["id"] for test in read})
    assert alike == refusals - len(OTHER_NAMES)
    assert f"{refusals} of {refusals} refusals refused, {alike} with the same code" in found.stdout


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
    data = bytearray(weights.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + json.loads(data[8:start])["model.norm.weight"]["data_offsets"][0]] ^= 1
    weights.write_bytes(data)
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
def test_it_fails_with_a_fault_of_its_own(brief: Path, tmp_path: Path, sound: str, faulty: str) -> None:
    source = READER.read_text()
    assert source.count(sound) == 1
    (tmp_path / READER.name).write_text(source.replace(sound, faulty))
    found = read_back(brief, tmp_path / READER.name)
    assert found.returncode == 1
    assert "complaints" in found.stdout
