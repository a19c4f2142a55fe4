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


def listwise_kl(
    student: Tensor,
    teacher: Tensor,
    queries: Tensor,
    *,
    temperature: float,
    weights: Tensor | None = None,
) -> Tensor:
    """T^2 KL between two softmaxes over each query's candidates, averaged over the queries.

    ``student`` and ``teacher`` are scores (B,), ``queries`` numbers each row's query (B,).
    A query with one candidate has a certain softmax and teaches nothing: it is left out.
    A candidate of the weight w > 0 counts in both softmaxes as w candidates, so the least is
    still where both agree; a query weighs the mean of its candidates' weights.
    """
    numbers, members = torch.unique(queries, return_inverse=True)
    size = torch.bincount(members, minlength=len(numbers))
    none = torch.zeros(len(numbers), dtype=student.dtype, device=student.device)
    weights = torch.ones_like(student) if weights is None else weights
    log_p = _grouped_log_softmax(teacher / temperature + weights.log(), members, len(numbers))
    log_q = _grouped_log_softmax(student / temperature + weights.log(), members, len(numbers))
    kl = none.index_add(0, members, log_p.exp() * (log_p - log_q))
    of_query = none.index_add(0, members, weights) / size
    return temperature**2 * masked_mean(kl, of_query * (size > 1))


def _grouped_log_softmax(scores: Tensor, members: Tensor, groups: int) -> Tensor:
    highest = torch.full((groups,), -torch.inf, dtype=scores.dtype, device=scores.device)
    highest = highest.scatter_reduce(0, members, scores.detach(), "amax")
    shifted = scores - highest[members]
    total = torch.zeros(groups, dtype=scores.dtype, device=scores.device)
    total = total.index_add(0, members, shifted.exp())
    return shifted - total.log()[members]


def margin_mse(
    student: Tensor, teacher: Tensor, queries: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """Mean squared gap between the two models' margins, over the candidate pairs of a query.

    ``student`` and ``teacher`` are scores (B,); a margin is the difference of two candidates.
    A pair weighs the product of its rows' ``weights`` (B,), which are 1 where there are none.

    Source: Hofstaetter et al., arXiv 2010.02666, section 3.
    """
    first, second = _pairs(queries)
    gaps = (student[first] - student[second]) - (teacher[first] - teacher[second])
    weights = torch.ones_like(student) if weights is None else weights
    return masked_mean(gaps.square(), weights[first] * weights[second])


def lambda_rank(
    student: Tensor, teacher: Tensor, queries: Tensor, *, weights: Tensor | None = None
) -> Tensor:
    """Pairwise logistic loss, each pair weighted by the NDCG that swapping the two would cost.

    ``teacher`` holds grades (B,), which may be fractions (below 0 they gain nothing),
    ``student`` scores (B,). Ranks come from the student's scores and carry no gradient.
    Averaged over the queries that have any pair of unlike grades. A pair weighs the product of its
    rows' ``weights`` (B,) besides, which are 1 where there are none.

    Source: Burges, MSR-TR-2010-82, section 4; as a bound of NDCG: Wang et al., CIKM 2018.
    """
    teacher = teacher.clamp(min=0)
    better, worse = _pairs(queries)
    keep = teacher[better] > teacher[worse]
    better, worse = better[keep], worse[keep]
    numbers, members = torch.unique(queries, return_inverse=True)
    gains = torch.exp2(teacher) - 1
    discounts = 1 / torch.log2(_ranks(student.detach(), members) + 1)
    ideal = 1 / torch.log2(_ranks(teacher, members) + 1)
    best = torch.zeros(len(numbers), dtype=gains.dtype, device=gains.device)
    best = best.index_add(0, members, gains * ideal)[members[better]]
    swap = (gains[better] - gains[worse]) * (discounts[better] - discounts[worse]).abs() / best
    losses = swap * F.softplus(student[worse] - student[better])
    if weights is not None:
        losses = losses * weights[better] * weights[worse]
    return losses.sum() / max(1, len(torch.unique(members[better])))


def _pairs(queries: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends of every ordered pair of different rows of one query."""
    same = queries[:, None] == queries[None]
    same.fill_diagonal_(False)
    first, second = same.nonzero(as_tuple=True)
    return first, second


def _ranks(scores: Tensor, members: Tensor) -> Tensor:
    """Rank from 1 of each row within its query, ties by row number; shape (B,), no gradient."""
    by_score = torch.argsort(scores, descending=True, stable=True)
    order = by_score[torch.argsort(members[by_score], stable=True)]
    sizes = torch.bincount(members)
    starts = (torch.cumsum(sizes, 0) - sizes)[members[order]]
    ranks = torch.empty_like(scores)
    ranks[order] = (torch.arange(len(order), device=scores.device) - starts + 1).to(scores.dtype)
    return ranks


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
