"""The scorer's folder: any process, and plain transformers, give the same logits from it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import softmax
from transformers import PreTrainedModel

from tasks.core.inputs import PairText
from tasks.core.training.base_models import Source
from tasks.core.training.scorer import (
    PairScorer,
    grade_probabilities,
    relevance,
    single_grades,
)
from tasks.core.training.tokens import Tokenized
from tests.core.training.tiny import FAMILIES, lively_scorer, pairs_of, tiny_scorer

ACTIONS = ("clicked", "applied")

# Knows nothing of this project's code: what another engine would do with the folder.
PLAIN = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

def logits(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    template = json.load(open(f"{folder}/cookbook.json"))["template"]
    for left, right in json.load(open("pairs.json")):
        text = template["prefix"] + left + "\\n" + right + template["suffix"]
        both = (left, right) if tokenizer.cls_token else (text,)
        with torch.inference_mode():
            yield model(**tokenizer(*both, return_tensors="pt")).logits[0].tolist()

print(json.dumps({folder: list(logits(folder)) for folder in sys.argv[1:]}))
"""
OURS = """
import json, sys
from pathlib import Path
from tasks.core.inputs import PairText
from tasks.core.training import precision
from tasks.core.training.scorer import PairScorer

precision.cpu_flags = frozenset
pairs = [PairText(*pair) for pair in json.load(open("pairs.json"))]
print(json.dumps({f: PairScorer.load(Path(f)).logits(pairs).tolist() for f in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved scorer of each family, and the pairs to score."""
    root = tmp_path_factory.mktemp("scorers")
    for source in FAMILIES:
        scorer = lively_scorer(source, actions=ACTIONS)
        scorer.calibration = {"grade_temperature": 1.5}
        scorer.save(root / source)
    pairs = [[pair.left, pair.right] for pair in pairs_of(6)]
    (root / "pairs.json").write_text(json.dumps(pairs))
    return root


def elsewhere(code: str, folders: Path) -> dict[str, np.ndarray[tuple[int, int], np.dtype]]:
    """Each folder's logits as a new process computes them."""
    done = subprocess.run(
        [sys.executable, "-c", code, *FAMILIES],
        cwd=folders,
        # As many threads as here: sums of another order differ in their last bit.
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {folder: np.array(rows) for folder, rows in json.loads(done.stdout).items()}


@pytest.mark.parametrize("source", FAMILIES)
def test_loaded_weights_lie_as_torch_aligns_its_own(source: Source, folders: Path) -> None:
    """In the mapped file they lie where its header ends, and kernels sum in another order there."""
    weights = PairScorer.load(folders / source).model.state_dict().values()
    assert {weight.data_ptr() % 64 for weight in weights} == {0}


def test_a_new_process_gives_equal_logits(folders: Path) -> None:
    found = elsewhere(OURS, folders)
    for source in FAMILIES:
        here = PairScorer.load(folders / source).logits(pairs_of(6))
        assert np.ptp(here, axis=0).min() > 1e-3
        np.testing.assert_allclose(found[source], here, rtol=1e-6, atol=1e-8)


def test_plain_transformers_gives_the_same_raw_logits(folders: Path) -> None:
    found = elsewhere(PLAIN, folders)
    for source in FAMILIES:
        here = PairScorer.load(folders / source).logits(pairs_of(6))
        np.testing.assert_allclose(found[source], here, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # of the other engine's own making
@pytest.mark.parametrize("source", FAMILIES)
def test_sentence_transformers_gives_the_same_raw_logits(source: Source, folders: Path) -> None:
    """Another engine, which knows the folder alone: the template is what the card says."""
    from sentence_transformers import CrossEncoder

    scorer = PairScorer.load(folders / source)
    engine = CrossEncoder(str(folders / source), device="cpu")
    form = scorer.template
    texts = [(pair.left, pair.right) for pair in pairs_of(6)]
    if not scorer.tokenizer.cls_token:
        texts = [(f"{form.prefix}{a}\n", f"{b}{form.suffix}") for a, b in texts]
    found = engine.predict(texts, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(found, scorer.logits(pairs_of(6)), atol=1e-5)


@pytest.mark.parametrize("source", FAMILIES)
def test_what_is_loaded_is_what_was_saved(source: Source, folders: Path) -> None:
    scorer, loaded = tiny_scorer(source, actions=ACTIONS), PairScorer.load(folders / source)
    assert loaded.outputs == scorer.outputs
    assert loaded.template == scorer.template
    assert loaded.base_model == scorer.base_model
    assert loaded.calibration == {"grade_temperature": 1.5}
    assert loaded.parameters() == scorer.parameters()


@pytest.mark.parametrize("source", FAMILIES)
def test_the_outputs_are_named_in_the_models_own_config(source: Source, folders: Path) -> None:
    config = json.loads((folders / source / "config.json").read_text())
    names = {"0": "grade_0", "1": "grade_1", "2": "grade_2", "3": "clicked", "4": "applied"}
    assert config["id2label"] == names
    assert config["label2id"] == {name: int(number) for number, name in names.items()}


@pytest.mark.parametrize("source", FAMILIES)
def test_a_folder_holds_no_pickle(source: Source, folders: Path) -> None:
    endings = {path.suffix for path in (folders / source).rglob("*") if path.is_file()}
    assert ".safetensors" in endings
    assert endings <= {".safetensors", ".json", ".txt", ".jinja"}


@pytest.mark.parametrize("source", FAMILIES)
def test_a_loaded_scorer_has_no_dropout_when_it_trains_on(source: Source, folders: Path) -> None:
    """A student starts from a loaded scorer; with dropout neither its targets nor resume hold."""
    scorer = PairScorer.load(folders / source)
    tokens = scorer.tokenizer(["pilot wanted"], return_tensors="pt")
    scorer.model.train()
    assert torch.equal(scorer.model(**tokens).logits, scorer.model(**tokens).logits)


@pytest.mark.parametrize("source", FAMILIES)
def test_logits_come_in_the_order_of_the_pairs(source: Source, folders: Path) -> None:
    scorer, pairs = PairScorer.load(folders / source), pairs_of(15)
    assert len(set(scorer.tokenize(pairs).lengths)) > 3
    forwards = scorer.logits(pairs, tokens_per_batch=150)
    backwards = scorer.logits(pairs[::-1], tokens_per_batch=150)
    np.testing.assert_allclose(backwards[::-1], forwards, atol=1e-5)
    np.testing.assert_allclose(forwards, scorer.logits(pairs), atol=1e-5)


@pytest.mark.parametrize("source", FAMILIES)
def test_pairs_that_read_alike_are_scored_once(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log shows a job to a member again and again."""
    scorer, pairs = lively_scorer(source), pairs_of(6)
    assert len(set(pairs)) == 6
    alone = np.concatenate([scorer.logits([pair]) for pair in pairs])
    read: list[int] = []
    whole = PairScorer.logits_of_tokens

    def counted(self: PairScorer, tokenized: Tokenized, **options: Any) -> Any:
        read.append(len(tokenized))
        return whole(self, tokenized, **options)

    monkeypatch.setattr(PairScorer, "logits_of_tokens", counted)
    order = [3, 0, 3, 3, 5, 1, 0, 2, 4, 4]
    logits = scorer.logits([PairText(pairs[i].left, pairs[i].right) for i in order])
    assert read == [6]
    np.testing.assert_allclose(logits, alone[order], atol=1e-5)


def test_no_pairs_have_no_logits() -> None:
    assert tiny_scorer("random_decoder").logits([]).shape == (0, 3)


def test_grade_probabilities_are_scipys_softmax_of_the_grade_logits_alone() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 5)) * 300
    found = grade_probabilities(logits, 3, temperature=2.0)
    np.testing.assert_allclose(found, softmax(logits[:, :3] / 2, axis=1), atol=1e-12)


def test_relevance_is_the_expected_grade_over_the_top_grade() -> None:
    probabilities = np.array([[0, 0, 0, 0, 1.0], [1.0, 0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4, 0]])
    by_hand = [1.0, 0.0, (0.2 * 1 + 0.3 * 2 + 0.4 * 3) / 4]
    np.testing.assert_allclose(relevance(probabilities), by_hand)


def test_a_single_grade_is_the_expected_one_rounded_half_up_or_cut() -> None:
    probabilities = np.array([[0.4, 0, 0, 0.6], [0.5, 0.5, 0, 0], [0.9, 0.1, 0, 0]])  # 1.8 0.5 0.1
    assert single_grades(probabilities, None).tolist() == [2, 1, 0]
    assert single_grades(probabilities, [0.1, 0.1, 1.5]).tolist() == [3, 2, 2]


@pytest.mark.parametrize("source", FAMILIES)
def test_whole_bfloat16_scores_no_further_from_float32_than_casts_do(
    source: Source, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = pairs_of(40)
    exact = PairScorer.load(folders / source)
    exact_logits = _logits_as(torch.float32, exact, pairs, monkeypatch)
    cast = _logits_as(torch.bfloat16, exact, pairs, monkeypatch)
    monkeypatch.setattr("tasks.core.training.scorer.compute_dtype", lambda _: torch.bfloat16)
    fast = PairScorer.load(folders / source, for_scoring=True)
    assert fast.model.dtype == torch.bfloat16
    allowed = 2.0 * np.abs(cast - exact_logits).max() + 1e-3
    assert np.abs(fast.logits(pairs) - exact_logits).max() < allowed
    assert PairScorer.load(folders / source).model.dtype == torch.float32


def test_a_card_is_given_weights_in_the_format_it_scores_in(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.core.training.scorer.compute_dtype", lambda _: torch.bfloat16)
    monkeypatch.setattr("tasks.core.training.scorer.best_device", lambda: torch.device("meta"))
    given: list[torch.dtype] = []
    move = PreTrainedModel.to

    def to(model: PreTrainedModel, *args: Any, **options: Any) -> Any:
        given.append(model.dtype)
        return move(model, *args, **options)

    monkeypatch.setattr(PreTrainedModel, "to", to)
    PairScorer.load(folders / "random_decoder", for_scoring=True)
    assert given[-1] == torch.bfloat16


def test_positions_are_those_of_training_in_whatever_format_a_scorer_scores(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frequencies of rotary positions in bfloat16 put the thousandth token a radian away."""
    trained = dict(PairScorer.load(folders / "random_decoder").model.named_buffers())
    monkeypatch.setattr("tasks.core.training.scorer.compute_dtype", lambda _: torch.bfloat16)
    scoring = PairScorer.load(folders / "random_decoder", for_scoring=True).model
    frequencies = {name for name in trained if name.endswith("inv_freq")}
    assert frequencies
    for name, found in scoring.named_buffers():
        assert torch.equal(found, trained[name]), name


def _logits_as(
    dtype: torch.dtype, scorer: PairScorer, pairs: list[PairText], monkeypatch: pytest.MonkeyPatch
) -> npt.NDArray[np.float32]:
    monkeypatch.setattr("tasks.core.training.precision.compute_dtype", lambda _: dtype)
    return scorer.logits(pairs)
