"""One generalized linear model per entity (a member, a job), on top of a given offset.

Two members type the same query: Alice likes remote jobs, Annie on-site ones. One global model
can only average them; a small model of each, which sees the global score as its offset, cannot
be wrong about either for long.
"""

from collections.abc import Sequence

import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.personalization.batch_fit import BatchFit
from tasks.core.personalization.design import Features
from tasks.core.personalization.earlier_model import Earlier, carry_over
from tasks.core.personalization.entities import Ids, group_rows
from tasks.core.personalization.options import RandomEffectOptions
from tasks.core.personalization.random_effect_model import RandomEffectModel
from tasks.core.personalization.sampling import choose_active_rows
from tasks.core.personalization.training_rows import TrainingRows


def fit_random_effect(
    entity_ids: Ids,
    features: Features,
    labels: npt.ArrayLike,
    *,
    offsets: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    row_ids: Ids | None = None,
    feature_names: Sequence[str] | None = None,
    options: RandomEffectOptions | None = None,
    warm_start: RandomEffectModel | None = None,
    prior: RandomEffectModel | None = None,
    start: RandomEffectModel | None = None,
) -> RandomEffectModel:
    """Fit every entity's model to its optimum.

    entity_ids (n,); features (n, d), dense or CSR; labels, offsets (default 0) and weights
    (default 1) (n,). row_ids (n,) decide which rows an upper bound keeps. `warm_start` is an
    earlier model: start values, and what it knows beyond these rows is kept. `prior`, besides,
    makes its means and variances the penalty's centers and widths. `start` gives start values and
    no more.
    Raises CookbookError if lengths differ or labels do not fit the task.
    Source: Zhang et al., GLMix (KDD 2016); reference section 5 of the personalization notes.
    """
    options = options or RandomEffectOptions()
    data = TrainingRows.checked(features, labels, offsets, weights, feature_names, options.task)
    if options.intercept == "absent" and not data.feature_names:
        raise CookbookError("Expected an intercept or features to fit, got neither; allow one.")
    earlier = Earlier(data.feature_names, warm_start, prior, start)
    everyone = group_rows(entity_ids)
    data.check_rows(len(everyone.order))
    known = earlier.knows(everyone.entity_ids)
    active = choose_active_rows(everyone, data.labels, data.weights, row_ids, known, options)
    fit = BatchFit.prepare(data.with_weights(active.weights), active.grouping, earlier, options)
    fit.solve()
    model = fit.model(active.passive_entities, active.passive_rows)
    return carry_over(model, warm_start or prior, everyone.entity_ids, options)
