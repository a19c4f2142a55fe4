"""Puts a member into words: a headline and 15 to 30 words that a profile would show."""

from typing import Any

import numpy as np

from tasks.core.simulation.catalog import Catalog
from tasks.core.simulation.jobs import LEVELS, MID
from tasks.core.simulation.members import (
    DEGREE,
    HELD,
    IN_PROGRESS,
    NO_DEGREE,
    OTHER_JURISDICTION,
    Members,
)

_LEVEL_WORDS = (
    ("student", "trainee"),
    ("junior", "entry level"),
    ("",),
    ("senior", "experienced"),
    ("lead", "principal"),
    ("manager,", "team manager,"),
    ("director,", "head of team,"),
    ("executive,", "vp,"),
)
_HEADLINES = (
    "{career} in {place}, {years}.",
    "{place} based {career}, {years}.",
    "{career}, {years}, {place}.",
    "{career} from {place} with {years}.",
)
_SKILLS = ("Skills: {skills}.", "Knows {skills}.", "Good at {skills}.", "{skills}.")


class MemberWriter:
    """Writes profiles one after the other from one stream of random numbers."""

    def __init__(self, rng: np.random.Generator, catalog: Catalog, members: Members) -> None:
        self._rng, self._catalog, self._members = rng, catalog, members

    def text(self, member: int) -> str:
        """Career, years and place first; then skills, credential, languages, wishes."""
        parts = [self._headline(member), self._skills(member), self._credential(member)]
        parts += [self._degree(member), self._language(member), *self._wishes(member)]
        return " ".join(filter(None, parts))

    def attributes(self, member: int) -> dict[str, Any]:
        """The structured fields a product would hold."""
        members = self._members
        return {
            "place": self._catalog.places.city[members.place[member]],
            "level": LEVELS[members.level[member]],
            "years": int(members.years[member]),
            "open_to_relocation": bool(members.relocates[member]),
        }

    def _any(self, options: tuple[str, ...] | list[str]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def _headline(self, member: int) -> str:
        members = self._members
        occupation, level = int(members.occupation[member]), int(members.level[member])
        name = self._catalog.occupations.surfaces[occupation][members.surface[member]]
        word = self._any(_LEVEL_WORDS[level]) if level != MID else ""
        years = int(members.years[member])
        headline = self._any(_HEADLINES).format(
            career=f"{word} {name}".strip(),
            place=self._catalog.places.city[members.place[member]],
            years="less than a year" if years == 0 else f"{years} years",
        )
        return headline[0].upper() + headline[1:]

    def _skills(self, member: int) -> str:
        shown = [int(skill) for skill in self._members.shown_skills[member] if skill >= 0]
        names = []
        for skill in shown:
            surfaces = self._catalog.skills[skill]
            names.append(surfaces[0] if self._rng.random() < 0.7 else self._any(surfaces))
        sentence = self._any(_SKILLS).format(skills=", ".join(names))
        return sentence[0].upper() + sentence[1:]

    def _credential(self, member: int) -> str:
        held = int(self._members.credential[member])
        status = int(self._members.credential_status[member])
        if held < 0 or held == self._catalog.degree:
            return ""
        name = self._any(self._catalog.credentials[held][1:])
        return {
            HELD: f"Holds {name}.",
            IN_PROGRESS: f"Studying for {name}.",
            OTHER_JURISDICTION: f"{name} from another jurisdiction.",
        }.get(status, "")

    def _degree(self, member: int) -> str:
        degree = int(self._members.degree[member])
        if degree == DEGREE:
            return self._any(("Bachelor's degree.", "University graduate.", "Has a degree."))
        return "No degree." if degree == NO_DEGREE else ""

    def _language(self, member: int) -> str:
        language = int(self._members.language[member])
        if language < 0:
            return ""
        fluency = ("", "Some", "Working", "Fluent")[self._members.fluency[member]]
        return f"{fluency} {self._catalog.languages[language]}."

    def _wishes(self, member: int) -> list[str]:
        members = self._members
        wishes = []
        if members.relocates[member]:
            wishes.append(self._any(("Will relocate.", "Open to moving.")))
        if members.needs_visa[member]:
            wishes.append(self._any(("Needs visa sponsorship.", "Requires a work visa.")))
        if members.industry[member] >= 0:
            wishes.append(f"Prefers {self._catalog.industries[members.industry[member]]}.")
        return wishes
