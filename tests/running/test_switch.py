"""mlx-lm's own loaders while they take packed repos: the same models and refusals as ours, and all else left alone."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import mlx.core as mx
import mlx_lm
import mlx_lm.utils
import pytest
from mlx.utils import tree_flatten

import mlx_quant
from mlx_quant import ConversionError, QuantError, disable, enable, enabled
from tests.checkpoint.hub_server import Hub, files_of
from tests.checkpoint.test_hub import weights_in
from tests.conftest import stored

GPTQ, ACT, AWQ, BASE = "llama-gptq-g128-seq-asym", "qwen2-gptq-g32-act-asym", "qwen2-awq-g32", "llama-base"
# Where mlx-lm has these functions by name.
IMPORTERS = (
    "benchmark",
    "cache_prompt",
    "chat",
    "convert",
    "fuse",
    "generate",
    "lora",
    "perplexity",
    "server",
    "utils",
)
Copy = Callable[..., Any]


@pytest.fixture(autouse=True)
def _switched_off() -> Iterator[None]:
    yield
    disable()
    assert type(mlx_lm.utils.load).__name__ == "function"
    assert not hasattr(mlx_lm.utils.load, "__wrapped__")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def misread(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What mlx-lm's own reader of packed weights was called with."""
    called: list[Any] = []
    monkeypatch.setattr(mlx_lm.utils, "_transform_awq_weights", lambda *args: called.append(args))
    return called


def functions() -> dict[tuple[str, str], Any]:
    return {
        (name, key): value
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "mlx_lm" and isinstance(module, ModuleType)
        for key, value in vars(module).items()
        if callable(value)
    }


def weights(model: Any) -> dict[str, mx.array]:
    return dict(tree_flatten(model.parameters()))


def same(first: Any, second: Any) -> bool:
    ours, theirs = weights(first), weights(second)
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype and mx.array_equal(ours[name], theirs[name]).item() for name in ours
    )


def refusal(action: Callable[[], Any]) -> QuantError:
    with pytest.raises(QuantError) as caught:
        action()
    return caught.value


def test_every_place_of_mlx_lm_is_changed_and_gets_its_own_back() -> None:
    modules = {name: importlib.import_module(f"mlx_lm.{name}") for name in IMPORTERS}
    late = "mlx_lm.quant.dynamic_quant"
    sys.modules.pop(late, None)
    before, original = functions(), mlx_lm.load
    with enabled():
        assert importlib.import_module(late).load is mlx_lm.load is not original
        changed = {name for name, module in modules.items() if module.load is mlx_lm.load}
        assert modules["utils"]._download is not before["mlx_lm.utils", "_download"]
        assert modules["utils"].load_model is not before["mlx_lm.utils", "load_model"]
        replaced = mlx_lm.load
    assert changed == set(IMPORTERS)
    assert sys.modules[late].load is original  # type: ignore[attr-defined]
    after = functions()
    assert {key for key in before if after[key] is not before[key]} == set()
    with pytest.raises(ValueError, match="non-contiguous group indices"):
        replaced(str(stored(GPTQ)))  # kept by somebody, and now as it was


def test_blocks_nest_and_the_innermost_options_hold() -> None:
    original = mlx_lm.load

    def kind() -> str:
        return mlx_lm.load(str(stored(AWQ)))[0]._conversion.target

    enable(target="dense")
    enable()
    assert kind() == "affine"
    with enabled(target="dense"):
        with enabled(target="affine"):
            assert kind() == "affine"
        assert kind() == "dense"
        disable()
        assert kind() == "dense"
    assert mlx_lm.load is original
    disable()
    with pytest.raises(RuntimeError, match="own"), enabled():
        raise RuntimeError("own")
    assert mlx_lm.load is original


def test_threads_share_the_switch_and_leave_nothing() -> None:
    before, errors = functions(), []
    barrier = threading.Barrier(4)

    def work() -> None:
        try:
            for _ in range(10):
                barrier.wait(30)
                # Whoever else has just left a block: inside one, a packed folder is never mlx-lm's.
                with enabled(), pytest.raises(ConversionError, match="get_model_classes"):
                    mlx_lm.utils.load_model(stored(AWQ), get_model_classes=lambda config: (None, None))
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    after = functions()
    assert {key for key in before if after[key] is not before[key]} == set()


@pytest.mark.parametrize("name", [GPTQ, ACT, AWQ])
def test_it_is_the_model_that_we_load(name: str, misread: list[Any], scratch: Path) -> None:
    expected, _ = mlx_quant.load(stored(name))
    early = mlx_lm.load
    with enabled():
        model, tokenizer, config = mlx_lm.load(str(stored(name)), return_config=True)
        by_early, early_tokenizer = early(str(stored(name)))
        alone, _ = mlx_lm.utils.load_model(stored(name))
    assert all(same(expected, found) for found in (model, by_early, alone))
    assert (model._conversion.target, model._hf_repo) == (expected._conversion.target, str(stored(name)))
    assert ("quantization" in config) == (expected._conversion.target == "affine")
    assert "quant_method" not in json.dumps(config)
    assert tokenizer.decode(tokenizer.encode("the")) == early_tokenizer.decode(tokenizer.encode("the")) == "the"
    assert misread == []
    assert list(scratch.glob("mlx-quant-*")) == []


def test_the_arguments_of_mlx_lm_are_honoured(scratch: Path, tmp_path: Path) -> None:
    source = str(stored(AWQ))
    with enabled():
        settings = {"chat_template": "{{ messages[0]['content'] }}!", "eos_token": "a"}
        model, tokenizer, config = mlx_lm.load(
            source, settings, {"rope_theta": 77.0, "quantize_activations": False}, None, True, True
        )
        assert list(scratch.glob("mlx-quant-*"))  # lazy
        assert (config["rope_theta"], model.args.rope_theta) == (77.0, 77.0)
        assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == "x!"
        assert tokenizer.eos_token == "a"
        (tmp_path / "adapter_config.json").write_text("{}")
        refused = refusal(lambda: mlx_lm.load(source, adapter_path=str(tmp_path)))
        assert (refused.code, refused.where) == ("bad-adapters", str(tmp_path))
        with pytest.raises(TypeError, match="unheard_of"):
            mlx_lm.load(source, unheard_of=1)


def test_what_has_no_meaning_for_packed_repos_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def newer(path_or_hf_repo: str, tokenizer_config: Any = None, shards: int = 1, **more: Any) -> Any:
        return "mlx-lm's own"

    monkeypatch.setattr(mlx_lm.utils, "load", newer)
    utils = mlx_lm.utils
    with enabled():
        assert refusal(lambda: utils.load(str(stored(AWQ)), shards=2)).code == "bad-target"
        assert utils.load(str(stored(BASE)), shards=2) == "mlx-lm's own"
        assert refusal(lambda: utils.sharded_load(str(stored(AWQ)))).code == "bad-target"
        own = refusal(lambda: utils.load_model(stored(AWQ), get_model_classes=lambda config: (None, None)))
        assert (own.code, "get_model_classes" in own.message) == ("bad-target", True)
    assert refusal(lambda: enable(target="affine", requantize=True)).code == "bad-target"
    assert utils.load is newer
    monkeypatch.undo()


def refused_ones(copy: Copy) -> Iterator[Path]:
    method, data, code = copy(AWQ, "method"), copy(AWQ, "data"), copy(AWQ, "code")
    method.requantize_config(quant_method="higgs")
    yield method.path
    data.rewrite(lambda tensors: tensors["model.layers.0.mlp.up_proj.scales"].fill_(float("inf")))
    yield data.path
    code.configure(model_file="model.py")
    (code.path / "model.py").write_text("raise SystemExit('ran')")
    yield code.path
    broken = copy(AWQ, "broken")
    (broken.path / "config.json").write_text((broken.path / "config.json").read_text()[:-3])
    yield broken.path
    model = copy(AWQ, "model")
    model.configure(model_type="llama-of-the-future")
    yield model.path
    sidecar = copy(GPTQ, "sidecar")
    sidecar.configure(quantization_config=None)
    (sidecar.path / "quantize_config.json").write_text('{"quant_method": "higgs"}')
    yield sidecar.path


def test_a_packed_one_is_refused_as_load_refuses_it(copy: Copy, misread: list[Any]) -> None:
    """Also with mlx-lm's trust_remote_code: a model that is a program is never run here."""
    codes, early = [], mlx_lm.load
    for path in refused_ones(copy):
        expected = refusal(lambda path=path: mlx_quant.load(path))
        with enabled():
            for load in (mlx_lm.load, early):
                found = refusal(lambda load=load, path=path: load(str(path), trust_remote_code=True))
                assert (type(found), str(found)) == (type(expected), str(expected))
        codes.append(expected.code)
    assert codes == [
        *("unsupported-method", "non-finite-scales", "untrusted-code", "bad-file", "unsupported-architecture"),
        "unsupported-method",
    ]
    assert misread == []


def test_candidates_are_taken_only_when_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlx_quant.packings import status

    monkeypatch.setattr(status, "read_evidence", lambda *_: None)
    with enabled():
        assert refusal(lambda: mlx_lm.load(str(stored(AWQ)))).code == "candidate-format"
    with enabled(candidates=True):
        assert mlx_lm.load(str(stored(AWQ)))[0]._conversion.target == "affine"


def test_what_is_not_packed_is_mlx_lms_own(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain model, one in MLX's own form, and a folder with a link that our own reader would not follow."""
    mlx_quant.convert(stored(AWQ), tmp_path / "native", target="affine", progress=False)
    strange = copy(BASE, "strange")
    (strange.path / "tokenizer.json").rename(tmp_path / "shared.json")
    (strange.path / "tokenizer.json").symlink_to(tmp_path / "shared.json")
    for path in (stored(BASE), tmp_path / "native", strange.path):
        expected, _, theirs = mlx_lm.load(str(path), return_config=True)
        with enabled(), monkeypatch.context() as patch:
            patch.setattr("mlx_quant.running.switch.Checkpoint", None)  # nothing of ours opens it
            model, tokenizer, config = mlx_lm.load(str(path), return_config=True)
        assert same(expected, model)
        assert config == theirs
        assert not hasattr(model, "_conversion")
        assert tokenizer.decode(tokenizer.encode("the")) == "the"


@pytest.mark.parametrize("text", [None, "[]", "{", "{}", '{"model_type": "none"}'])
def test_errors_of_mlx_lm_stay_its_own(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    for asked in (str(tmp_path), None):
        with pytest.raises(Exception) as expected:  # noqa: PT011  (whatever it is)
            mlx_lm.load(asked)
        with enabled(), pytest.raises(type(expected.value)) as found:
            mlx_lm.load(asked)
        assert str(found.value) == str(expected.value)


def test_code_of_a_packed_repo_runs_only_when_trusted(copy: Copy, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    source = copy(GPTQ)
    (source.path / "tokens.py").write_text(
        f"open({str(canary)!r}, 'a').write('ran')\n"
        "from transformers import PreTrainedTokenizerFast\nclass SwitchedTokenizer(PreTrainedTokenizerFast): pass\n"
    )
    settings = source.json("tokenizer_config.json")
    settings |= {
        "tokenizer_class": "SwitchedTokenizer",
        "auto_map": {"AutoTokenizer": ["tokens.SwitchedTokenizer"] * 2},
    }
    source.write_json(settings, "tokenizer_config.json")
    early = mlx_lm.load
    with enabled():
        for load in (mlx_lm.load, early, lambda path: mlx_lm.utils.load_tokenizer(Path(path))):
            assert refusal(lambda load=load: load(str(source.path))).code == "untrusted-code"
        assert not canary.exists()
        mlx_lm.load(str(source.path), trust_remote_code=True)
        assert canary.exists()


@pytest.mark.parametrize("bound", ["early", "late"])
def test_a_packed_repo_on_the_hub(hub: Hub, tmp_path: Path, bound: str, misread: list[Any]) -> None:
    """Its programs stay there, a refusal costs none of its weights, and mlx_lm.fuse finds it in the cache again."""
    files = files_of(stored(AWQ)) | {"tokenizer.py": b"raise SystemExit", "extra.jsonl": b"{}"}
    hub.add("someone/packed", files)
    config = json.loads(files["config.json"])
    config["quantization_config"]["quant_method"] = "higgs"
    hub.add("someone/refused", files | {"config.json": json.dumps(config).encode()})
    hub.add("someone/plain", files_of(stored(BASE)))
    expected, _ = mlx_quant.load(stored(AWQ))
    early = mlx_lm.load
    with enabled():
        load = early if bound == "early" else mlx_lm.load
        assert refusal(lambda: load("someone/refused")).code == "unsupported-method"
        assert weights_in(tmp_path / "cache") == []
        model, _ = load("someone/packed")
        assert same(expected, model)
        assert not list((tmp_path / "cache").rglob("*.py"))
        folder = mlx_lm.utils.hf_repo_to_path("someone/packed")
        assert (folder / "config.json").exists()
        assert refusal(lambda: load("someone/absent")).code == "hub-error"
        plain, _ = load("someone/plain")
    assert same(plain, mlx_lm.load(str(stored(BASE)))[0])
    assert misread == []
