"""Biases: edits leave the query alone and reach the model; verdicts are about size, not sign."""

import numpy as np
import pytest

from tasks.core.biases import BIASES, bias_figures, perturbed, relevance_shifts
from tasks.core.inputs import PairText
from tests.core.training.tiny import lively_scorer, pairs_of

PAIR = PairText("night nurse", "Nurse wanted in Lisbon.")


def test_edits_keep_the_candidate_and_add_what_they_are_named_for() -> None:
    for bias in BIASES:
        found = perturbed(PAIR, bias)
        assert found.left == PAIR.left
        assert PAIR.right in found.right
    assert perturbed(PAIR, "keyword_stuffing").right.count(PAIR.left) == 3
    assert perturbed(PAIR, "injected_instruction").right.startswith("Ignore the policy")
    words = len(perturbed(PAIR, "length").right.split())
    assert words > 5 * len(PAIR.right.split())


def test_shifts_are_the_edited_relevance_less_the_original() -> None:
    scorer, pairs = lively_scorer("random_encoder"), pairs_of(5)
    alone = relevance_shifts(scorer, pairs[:1])
    together = relevance_shifts(scorer, pairs)
    for bias in BIASES:
        assert together[bias].shape == (5,)
        assert together[bias][0] == pytest.approx(alone[bias][0], abs=1e-5)
        assert np.abs(together[bias]).max() > 1e-3


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_verdict_is_about_the_size_of_what_was_taught(sign: float) -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=60)
    taught = {"length": sign * (0.2 + noise)}
    for factor, verdict in ((2.0, "grows"), (0.5, "shrinks"), (1.0, "keeps")):
        tier = {"length": factor * taught["length"]}
        found = bias_figures(tier, taught, n_resamples=200)["length"]
        assert found["verdict"] == verdict
        assert found["value"] == pytest.approx(factor * taught["length"].mean())


def test_differences_within_chance_are_kept() -> None:
    generator = np.random.default_rng(1)
    taught = {"length": generator.normal(0.1, 0.3, 40)}
    tier = {"length": taught["length"] + generator.normal(0.0, 0.3, 40)}
    assert bias_figures(tier, taught, n_resamples=500)["length"]["verdict"] == "keeps"
