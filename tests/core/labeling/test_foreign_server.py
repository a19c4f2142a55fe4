"""The client speaks to a server that is not ours; what a random model says becomes no label."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tasks.core.errors import CookbookError
from tasks.core.labeling.client import label_all
from tasks.core.labeling.endpoint import Endpoint
from tasks.core.labeling.journal import Journal
from tasks.core.labeling.replies import Status
from tasks.core.policy import Policy
from tests.core.labeling.conftest import make_requests

pytestmark = pytest.mark.slow


def save_random_decoder(folder: Path) -> None:
    """Two layers that speak bytes, never trained."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_alone = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_alone.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_alone, eos_token="<|end|>", pad_token="<|pad|>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=8192,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Base URL and model name of a ``transformers serve`` process."""
    folder = tmp_path_factory.mktemp("decoder")
    save_random_decoder(folder)
    port = port_that_nobody_is_given()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--host", "127.0.0.1", "--device", "cpu"],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        server.terminate()
        server.wait(60)


def port_that_nobody_is_given() -> int:
    """A free port below those that Linux gives to whoever asks for any (from 32768).

    One of those may be given to another process before the server, which takes a while to start,
    listens there. Processes of one moment look in places of their own.
    """
    for port in range(20_000 + os.getpid() * 10 % 12_000, 32_768):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def wait_until_healthy(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(4800):
        assert server.poll() is None, "transformers serve ended by itself"
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    raise AssertionError("transformers serve did not answer in time")


def foreign(base_url: str, model: str) -> Endpoint:
    return Endpoint(
        base_url,
        model,
        api_key_env="",
        concurrency=1,
        top_logprobs=None,
        max_output_tokens=12,
        output_limit_field="max_tokens",
        answer_format="text",
    )


def test_garbage_ends_in_quarantine_and_not_in_labels(
    served: tuple[str, str], policy: Policy, journal: Journal
) -> None:
    done = label_all(
        make_requests(3),
        policy=policy,
        endpoint=foreign(*served),
        journal=journal,
        max_quarantine_share=1.0,
    )
    assert done.judgments == []
    assert {pair.status for pair in done.quarantined} <= {Status.TRUNCATED, Status.MALFORMED}
    assert done.progress.calls == 6
    assert all(pair.raw_text for pair in done.quarantined)


def test_the_run_fails_when_all_is_garbage(
    served: tuple[str, str], policy: Policy, journal: Journal
) -> None:
    with pytest.raises(CookbookError, match="quarantine"):
        label_all(make_requests(2), policy=policy, endpoint=foreign(*served), journal=journal)
