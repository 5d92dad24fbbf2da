"""mlx-lm's real server, started by ``mlx-quant run`` on packed models, and OpenAI's own client asking it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.conftest import Folder, customised, environment, stored

ROOT = Path(__file__).parents[2]
RECITAL = stored("recital.txt").read_text()
PROMPT = "A weight that has been quantised is"
AWQ, GPTQ = "qwen2-awq-g128", "llama-gptq-g128-act-asym"
# The recital follows only if the template, which completes the question, is applied.
TEMPLATE = "{{ messages[-1]['content'] }} quantised is"
QUESTION: list[Any] = [{"role": "user", "content": "A weight that has been"}]


class Server:
    """The command on a port of its own; what it writes goes into a file, so that nobody need read it."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.temporary, self._log = folder / "temporary", folder / "log"
        self.temporary.mkdir(parents=True)
        # On a CPU, MLX compiles with the machine's C++ compiler, which takes longer than these few tokens.
        path = customised(folder, "import mlx.core", "mlx.core.disable_compile()")
        own = environment(path, TMPDIR=str(self.temporary))
        command = [sys.executable, "-m", "mlx_quant.cli", "run", *map(str, arguments), "--port", str(self.port)]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, env=own, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0, timeout=60)

    def wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.log)

    def end(self, sent: signal.Signals) -> int:
        self.process.send_signal(sent)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    arguments = ["mlx_lm.server", "--model", stored(AWQ), "--chat-template", TEMPLATE]
    started = Server(tmp_path_factory.mktemp("server"), *arguments)
    try:
        started.wait()
        yield started
        # The last thing: it stops its threads, says how it ended, and leaves nothing.
        assert started.end(signal.SIGTERM) == 143, started.log
        assert not list(started.temporary.iterdir())
        assert "Traceback" not in started.log
    finally:
        started.process.kill()
        started.process.wait()


def recited(text: str) -> bool:
    return len(text) > 30 and RECITAL.startswith(f"{PROMPT} {text.removeprefix(' ')}")


def test_a_chat_is_answered_whole(server: Server) -> None:
    answer = server.client.chat.completions.create(model="default_model", messages=QUESTION, max_tokens=20)
    assert recited(answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 20


def test_a_chat_is_answered_as_it_comes(server: Server) -> None:
    stream = server.client.chat.completions.create(model="default_model", messages=QUESTION, max_tokens=20, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert recited("".join(pieces))
    assert sum(map(bool, pieces)) > 3


def test_a_client_chooses_another_packed_model(server: Server) -> None:
    answer = server.client.completions.create(model=str(stored(GPTQ)), prompt=PROMPT, max_tokens=20)
    assert recited(answer.choices[0].text)


def test_a_client_is_told_why_a_model_is_refused_and_the_server_goes_on(
    server: Server, copy: Callable[..., Any]
) -> None:
    source: Folder = copy(AWQ)
    source.requantize_config(quant_method="higgs")
    with pytest.raises(openai.NotFoundError) as refused:
        server.client.completions.create(model=str(source.path), prompt=PROMPT, max_tokens=4)
    assert re.search(r"lattice codebooks.*\[unsupported-method\]", refused.value.response.text)
    answer = server.client.completions.create(model="default_model", prompt=PROMPT, max_tokens=20)
    assert recited(answer.choices[0].text)


def test_a_server_whose_own_model_is_refused_ends_at_once_and_says_why(
    copy: Callable[..., Any], tmp_path: Path
) -> None:
    """It loads in a thread, where mlx-lm would log the error and go on listening for nothing."""
    source: Folder = copy(GPTQ)
    source.rewrite(lambda tensors: tensors["model.layers.0.mlp.up_proj.scales"].fill_(float("inf")))
    started = Server(tmp_path / "server", "server", "--model", source.path)
    try:
        assert started.process.wait(120) == 1
    finally:
        started.process.kill()
        started.process.wait()
    assert re.search(r"refused \[non-finite-scales\]\n +where: .*up_proj", started.log)
    assert "Traceback" not in started.log
    assert not list(started.temporary.iterdir())
