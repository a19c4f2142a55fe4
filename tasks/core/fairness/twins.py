"""Counterfactual twins: one text, told of two people who differ in a single thing.

A scorer that judges the match must score both alike. Where the text states the thing (a
pronoun, a known name or school) it is swapped; where it does not, each twin opens with one
sentence of the same shape. It stands in front, because a scorer reads only so many tokens:
twins that differ behind the cut would look fair.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.errors import CookbookError
from tasks.core.fairness.cluster_bootstrap import resampled_ratios, sums_by_cluster, weight_blocks
from tasks.core.fairness.gaps import GapDraws

FloatArray = npt.NDArray[np.float64]

# First names that readers take for a Black or white, female or male American.
# Source: Bertrand and Mullainathan, American Economic Review 2004, table 8.
_NAMES = {
    ("Black", "female"): ("Aisha", "Keisha", "Tamika", "Lakisha", "Tanisha", "Latoya", "Ebony"),
    ("Black", "male"): ("Rasheed", "Tremayne", "Kareem", "Darnell", "Tyrone", "Jamal", "Leroy"),
    ("white", "female"): ("Emily", "Anne", "Jill", "Allison", "Sarah", "Meredith", "Carrie"),
    ("white", "male"): ("Todd", "Neil", "Geoffrey", "Brett", "Brendan", "Greg", "Matthew"),
}
# Historically Black colleges, each with a college of the same place and kind beside it.
_SCHOOLS = (
    ("Howard University", "George Washington University"),
    ("Spelman College", "Agnes Scott College"),
    ("Morehouse College", "Oglethorpe University"),
    ("Hampton University", "Old Dominion University"),
    ("Tuskegee University", "Auburn University"),
    ("Xavier University of Louisiana", "Loyola University New Orleans"),
)
_TO_MALE = {"she": "he", "hers": "his", "herself": "himself", "ms.": "mr.", "mrs.": "mr."}
_TO_FEMALE = {"he": "she", "him": "her", "himself": "herself", "mr.": "ms."}
# Different texts among one profile's twins: six contrasts, of which two share a name each.
MOST_TEXTS = 10
_NO_DEGREE = re.compile(r"\bno degree\b", re.IGNORECASE)


@dataclass(frozen=True)
class Twin:
    """Two versions of a text; `contrast` names them as reports do: `pronoun: she - he`."""

    contrast: str
    first: str
    second: str


def twins(text: str) -> list[Twin]:
    """The twins of a profile text, in a fixed order; the same text gives the same twins.

    Which of the listed names and schools stand in is drawn by the text's hash, so that many
    texts cover all of them. A text that says it has no degree gets no school.
    """
    found = [_pronoun_twin(text), *_name_twins(text), _gap_twin(text)]
    return found if _NO_DEGREE.search(text) else [*found, _school_twin(text)]


def twin_draws(
    tier: str,
    contrasts: Sequence[str],
    first_scores: FloatArray,
    second_scores: FloatArray,
    clusters: npt.NDArray[np.generic],
    *,
    absolute: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[GapDraws]:
    """Mean of first minus second score by contrast, with resamples; one entry a twin.

    Summarize them like any gap. `absolute` averages the sizes instead, so that a scorer which
    favors one twin here and the other there does not come out even; its interval says how
    large, its p says nothing (a size is never below 0).

    Raises: CookbookError when the columns differ in length.
    """
    if not len(contrasts) == len(first_scores) == len(second_scores) == len(clusters) > 0:
        raise CookbookError(
            f"twins need a contrast, two scores and a cluster each, got {len(contrasts)}, "
            f"{len(first_scores)}, {len(second_scores)} and {len(clusters)}: score both texts"
        )
    names, code = np.unique(np.array(contrasts), return_inverse=True)
    _, numbers = np.unique(clusters, return_inverse=True)
    gap = first_scores - second_scores
    gap = np.abs(gap) if absolute else gap
    shape = (int(numbers.max()) + 1, len(names))
    sums = sums_by_cluster(gap, np.ones(len(gap)), numbers, code, shape)
    blocks = weight_blocks(shape[0], len(gap), n_resamples=n_resamples, seed=seed)
    values = np.concatenate([resampled_ratios(sums, weights) for weights in blocks])
    n_clusters = (sums.denominator > 0).sum(0)
    name = "twin_absolute_gap" if absolute else "twin_gap"
    return [
        GapDraws(tier, name, str(contrast), float(values[0, i]), values[1:, i], int(n_clusters[i]))
        for i, contrast in enumerate(names)
    ]


def unseen_twins(first_scores: FloatArray, second_scores: FloatArray) -> float:
    """Share of twins with the very same score: near 1, the scorer never saw the difference."""
    return float((first_scores == second_scores).mean())


def _pronoun_twin(text: str) -> Twin:
    first, second = _to_female(text), _to_male(text)
    if first == second:
        first, second = f"Pronouns: she/her. {text}", f"Pronouns: he/him. {text}"
    return Twin("pronoun: she - he", first, second)


def _name_twins(text: str) -> list[Twin]:
    versions = {group: _with_name(text, _drawn(text, names)) for group, names in _NAMES.items()}
    return [
        Twin("name: female - male", versions["white", "female"], versions["white", "male"]),
        Twin("name: Black - white", versions["Black", "male"], versions["white", "male"]),
        Twin("name: Black - white", versions["Black", "female"], versions["white", "female"]),
    ]


def _with_name(text: str, name: str) -> str:
    known = "|".join(other for names in _NAMES.values() for other in names)
    swapped, n_swapped = re.subn(rf"\b(?:{known})\b", name, text)
    return swapped if n_swapped else f"{name}. {text}"


def _school_twin(text: str) -> Twin:
    pair = _SCHOOLS[_number(text) % len(_SCHOOLS)]
    known = "|".join(re.escape(school) for schools in _SCHOOLS for school in schools)
    stated = re.search(rf"\b(?:{known})\b", text)
    first, second = (
        text.replace(stated.group(), school) if stated else f"Studied at {school}. {text}"
        for school in pair
    )
    return Twin("school: historically Black - other", first, second)


def _gap_twin(text: str) -> Twin:
    return Twin(
        "employment gap: stated - none",
        f"Back after a career break of two years. {text}",
        f"In work without a break to this day. {text}",
    )


def _to_male(text: str) -> str:
    # "her" before a word is his, else him: "her work", "hired her".
    text = _swap(text, r"\bher\b(?=\s+\w)", {"her": "his"})
    return _swap(text, r"\b(?:she|hers|herself|her|ms\.|mrs\.)(?!\w)", {**_TO_MALE, "her": "him"})


def _to_female(text: str) -> str:
    text = _swap(text, r"\bhis\b(?=\s+\w)", {"his": "her"})
    return _swap(text, r"\b(?:he|him|himself|his|mr\.)(?!\w)", {**_TO_FEMALE, "his": "hers"})


def _swap(text: str, pattern: str, words: dict[str, str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        word = match.group()
        new = words[word.lower()]
        return new.capitalize() if word[0].isupper() else new

    return re.sub(pattern, replaced, text, flags=re.IGNORECASE)


def _drawn(text: str, options: tuple[str, ...]) -> str:
    return options[_number(text) % len(options)]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
