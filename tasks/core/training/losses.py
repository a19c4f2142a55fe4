"""Losses of teachers and students: free functions of logits and targets.

Every KL here is zero at equality, and every mean is taken over the rows that have a target.
B rows, G grades, A actions.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over the rows, both (B,) or (B, A); zero where no row has weight.

    Nothing is divided by a tiny number, whose inverse would turn zero gradients into NaN.
    """
    total = weights.sum(dim=0)
    return (values * weights).sum(dim=0) / torch.where(total > 0, total, 1.0)


def grade_kl(student: Tensor, teacher: Tensor, *, temperature: float, weights: Tensor) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) over grades, both logits (B, G).

    The factor T^2 keeps the gradient's size when the temperature changes.

    Source: Hinton, Vinyals and Dean, arXiv 1503.02531, section 2.
    """
    target = F.log_softmax(teacher / temperature, dim=1)
    output = F.log_softmax(student / temperature, dim=1)
    kl = (target.exp() * (target - output)).sum(dim=1)
    return temperature**2 * masked_mean(kl, weights)


def action_kl(student: Tensor, teacher: Tensor, *, temperature: float, weights: Tensor) -> Tensor:
    """T^2 KL of Bernoullis, averaged over actions; logits (B, A), weights (B, A)."""
    target, output = teacher / temperature, student / temperature
    probability = torch.sigmoid(target)
    kl = probability * (F.logsigmoid(target) - F.logsigmoid(output)) + (1 - probability) * (
        F.logsigmoid(-target) - F.logsigmoid(-output)
    )
    return temperature**2 * masked_mean(kl, weights).mean()


def listwise_kl(student: Tensor, teacher: Tensor, queries: Tensor, *, temperature: float) -> Tensor:
    """T^2 KL between two softmaxes over each query's candidates, averaged over the queries.

    ``student`` and ``teacher`` are scores (B,), ``queries`` numbers each row's query (B,).
    A query with one candidate has a certain softmax and teaches nothing: it is left out.
    """
    numbers, members = torch.unique(queries, return_inverse=True)
    size = torch.bincount(members, minlength=len(numbers))
    log_p = _grouped_log_softmax(teacher / temperature, members, len(numbers))
    log_q = _grouped_log_softmax(student / temperature, members, len(numbers))
    kl = torch.zeros(len(numbers), dtype=student.dtype, device=student.device)
    kl = kl.index_add(0, members, log_p.exp() * (log_p - log_q))
    return temperature**2 * masked_mean(kl, (size > 1).to(kl.dtype))


def _grouped_log_softmax(scores: Tensor, members: Tensor, groups: int) -> Tensor:
    highest = torch.full((groups,), -torch.inf, dtype=scores.dtype, device=scores.device)
    highest = highest.scatter_reduce(0, members, scores.detach(), "amax")
    shifted = scores - highest[members]
    total = torch.zeros(groups, dtype=scores.dtype, device=scores.device)
    total = total.index_add(0, members, shifted.exp())
    return shifted - total.log()[members]


def grade_cross_entropy(logits: Tensor, probabilities: Tensor, *, weights: Tensor) -> Tensor:
    """Cross-entropy of grade logits (B, G) against a distribution (B, G) from the judge."""
    return masked_mean(-(probabilities * F.log_softmax(logits, dim=1)).sum(dim=1), weights)


def action_cross_entropy(logits: Tensor, actions: Tensor, *, weights: Tensor) -> Tensor:
    """Binary cross-entropy (B, A), weighted per row and action, averaged over actions.

    Weights carry 1/propensity and mask rows in which an action had no chance to be taken.
    """
    losses = F.binary_cross_entropy_with_logits(logits, actions, reduction="none")
    return masked_mean(losses, weights).mean()


def expected_grade(logits: Tensor) -> Tensor:
    """Expected grade of grade logits (B, G): shape (B,), between 0 and G - 1."""
    grades = torch.arange(logits.shape[1], dtype=logits.dtype, device=logits.device)
    return torch.softmax(logits, dim=1) @ grades
