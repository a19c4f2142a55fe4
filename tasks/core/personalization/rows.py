"""Rows of a personalization fit, and tables of scores made elsewhere that join them by row id."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.core.errors import CookbookError
from tasks.core.personalization.design import Features
from tasks.core.personalization.entities import Ids, find_entities, to_strings

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Rows to train on or to score, e.g. impressions.

    row_ids (n,) are distinct. features: by name of the feature set, (n, d) dense or CSR, with the
    column names in `feature_names`. entity_ids: by kind of entity ("member", "job"), (n,).
    labels (n,) are needed for training only; weights default to 1.
    Raises CookbookError on duplicate row ids or unequal lengths.
    """

    row_ids: Ids
    labels: npt.ArrayLike | None = None
    features: Mapping[str, Features] = field(default_factory=dict)
    entity_ids: Mapping[str, Ids] = field(default_factory=dict)
    feature_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        """Check that the parts describe the same rows."""
        ids = to_strings(self.row_ids)
        if len(ids.unique()) != len(ids):
            raise CookbookError(
                f"Expected distinct row ids, got {len(ids.unique())} among {len(ids)} rows; scores "
                "join by row id, so make each one unique."
            )
        lengths = {f"features {k!r}": v.shape[0] for k, v in self.features.items()}
        lengths |= {f"entity ids {k!r}": len(v) for k, v in self.entity_ids.items()}
        if self.labels is not None:
            lengths["labels"] = len(np.asarray(self.labels))
        wrong = {name: length for name, length in lengths.items() if length != len(ids)}
        if wrong:
            raise CookbookError(f"Expected {len(ids)} rows everywhere, got {wrong}; align them.")

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.row_ids)

    def take(self, places: npt.NDArray[np.int64]) -> "Rows":
        """The rows at these places, in this order."""
        chosen = pa.array(places)
        return Rows(
            row_ids=to_strings(self.row_ids).take(chosen),
            labels=None if self.labels is None else np.asarray(self.labels)[places],
            features={name: values[places] for name, values in self.features.items()},
            entity_ids={k: to_strings(v).take(chosen) for k, v in self.entity_ids.items()},
            feature_names=self.feature_names,
            weights=None if self.weights is None else np.asarray(self.weights)[places],
        )

    def checked_labels(self) -> Array:
        """Labels (n,). Raises CookbookError if there are none."""
        if self.labels is None:
            raise CookbookError("Expected rows with labels, got rows without; add a label to each.")
        return np.asarray(self.labels, np.float64)

    def features_of(self, name: str | None) -> tuple[Features, tuple[str, ...]]:
        """A feature set and its column names; None is the empty set, for an intercept alone."""
        if name is None:
            return np.empty((len(self), 0)), ()
        if name not in self.features:
            raise CookbookError(
                f"Expected features {name!r} on the rows, have {sorted(self.features)}; add them."
            )
        values = self.features[name]
        default = tuple(f"{name}_{j}" for j in range(values.shape[1]))
        return values, tuple(self.feature_names.get(name, default))

    def entities_of(self, kind: str) -> Ids:
        """The entity of each row (n,)."""
        if kind not in self.entity_ids:
            raise CookbookError(
                f"Expected entity ids {kind!r} on the rows, have {sorted(self.entity_ids)}; add "
                "them."
            )
        return self.entity_ids[kind]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of rows made elsewhere (a student's logits): row_ids and scores (m,)."""

    row_ids: Ids
    scores: npt.ArrayLike

    def at(self, row_ids: Ids) -> Array:
        """The scores of `row_ids` (n,), which must all be there.

        Raises CookbookError with counts if rows are missing: an inner join would drop them
        silently, and the model would be trained and measured on other rows than it seems.
        """
        known = to_strings(self.row_ids)
        distinct = known.dictionary_encode()
        scores = np.asarray(self.scores, np.float64)
        if len(distinct.dictionary) != len(known) or len(scores) != len(known):
            raise CookbookError(
                f"Expected one score per row id, got {len(scores)} scores for {len(known)} row ids "
                f"({len(distinct.dictionary)} distinct); mend the score table."
            )
        return scores[self._places(known, row_ids)]

    def _places(self, known: pa.StringArray, row_ids: Ids) -> npt.NDArray[np.int64]:
        places = find_entities(row_ids, known, ascending=False)
        missing = int((places < 0).sum())
        if missing:
            raise CookbookError(
                f"Expected a score for each of {len(places)} rows, {missing} are not among the "
                f"{len(known)} of the score table; score these rows too."
            )
        return places
