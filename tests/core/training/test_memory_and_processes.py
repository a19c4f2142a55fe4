"""Out of memory and several processes change how a step is computed, never what it computes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from tasks.core.errors import CookbookError
from tasks.core.training.base_models import Source
from tasks.core.training.loop import Examples, Optimization, Targets, train
from tasks.core.training.losses import grade_cross_entropy, listwise_kl
from tasks.core.training.scorer import PairScorer
from tests.core.training.tiny import FAMILIES, pairs_of, tiny_scorer

OPTIMIZATION = Optimization(
    epochs=1,
    learning_rate=3e-3,
    head_learning_rate=3e-3,
    rows_per_step=7,
    list_size=4,
    tokens_per_batch=400,
)


UNSEEN = pairs_of(20, seed=7)


def assert_same_function(
    found: np.ndarray[tuple[int, int], np.dtype[np.float32]], whole: PairScorer, source: Source
) -> None:
    """By logits: AdamW blows rounding up in weights that change nothing, such as key biases."""
    expected = whole.logits(UNSEEN)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    assert np.abs(expected - tiny_scorer(source).logits(UNSEEN)).max() > 0.02


def loss(logits: Tensor, batch: Targets) -> Tensor:
    """Compares rows of the whole step: a mean of parts would be another loss."""
    ones = torch.ones(len(logits))
    pointwise = grade_cross_entropy(logits[:, :3], batch["grades"], weights=ones)
    order = 3 * batch["grades"][:, 0]
    return pointwise + listwise_kl(logits[:, 1], order, batch["query"], temperature=1.0)


def examples_of(scorer: PairScorer) -> Examples:
    """25 rows in steps of eight or so: the last step has a single row or few."""
    groups = np.arange(25) // 4
    targets = {"grades": torch.eye(3)[torch.arange(25) % 3], "query": torch.from_numpy(groups)}
    return Examples(scorer.tokenize(pairs_of(25)), groups, targets)


def trained(source: Source, prepare: Callable[[PairScorer], None] = lambda _: None) -> PairScorer:
    scorer = tiny_scorer(source)
    prepare(scorer)
    train(scorer, examples_of(scorer), loss, OPTIMIZATION)
    return scorer


def small_memory(slots: int) -> Callable[[PairScorer], None]:
    """Memory for so many token slots only; beyond, torch's own error of an accelerator."""

    def prepare(scorer: PairScorer) -> None:
        def check(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if scorer.model.training and inputs[0].numel() > slots:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        scorer.model.get_input_embeddings().register_forward_pre_hook(check)

    return prepare


@pytest.mark.parametrize(("source", "slots"), [("random_encoder", 40), ("random_decoder", 100)])
def test_out_of_memory_halves_the_passes_and_keeps_the_effective_batch(
    source: Source, slots: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = trained(source)
    halved = trained(source, small_memory(slots))
    assert "Out of memory: a pass has" in caplog.text
    assert_same_function(halved.logits(UNSEEN), whole, source)


def test_where_not_even_one_row_fits_the_message_says_what_to_lower() -> None:
    with pytest.raises(CookbookError, match="Lower tokens_per_batch or max_tokens"):
        trained("random_encoder", small_memory(4))


def test_another_error_is_not_taken_for_memory() -> None:
    def broken(scorer: PairScorer) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("a shape that does not fit")

        scorer.model.register_forward_pre_hook(fail)

    with pytest.raises(RuntimeError, match="does not fit"):
        trained("random_encoder", broken)


PROCESS = """
import sys
from pathlib import Path
import numpy as np
import torch
from tasks.core.training import precision
from safetensors.numpy import save_file
from tests.core.training.test_memory_and_processes import UNSEEN, trained

precision.cpu_flags = frozenset
torch.set_num_threads(1)
for source in sys.argv[2:]:
    rows = []
    def count(scorer):
        head = "classifier" if hasattr(scorer.model, "classifier") else "score"
        hook = lambda _, inputs: rows.append(len(inputs[0]))
        scorer.model.get_submodule(head).register_forward_pre_hook(hook)
    scorer = trained(source, count)
    assert max(rows) < 8, rows  # a whole step has eight rows: half of them are the other's
    if torch.distributed.get_rank() == 0:
        save_file({"logits": scorer.logits(UNSEEN)}, Path(sys.argv[1]) / f"{source}.safetensors")
torch.distributed.destroy_process_group()
"""


def test_two_processes_end_with_the_weights_of_one(tmp_path: Path) -> None:
    """Gloo on a CPU; each computes its own rows, and both see the loss of the whole step."""
    (tmp_path / "process.py").write_text(PROCESS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, str(tmp_path / "process.py"), str(tmp_path), *FAMILIES],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for source in FAMILIES:
        found = load_file(tmp_path / f"{source}.safetensors")["logits"]
        assert_same_function(found, trained(source), source)
