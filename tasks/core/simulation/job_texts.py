"""Puts a job into words: a title, a text of 35 to 60 words, and the fields a product would hold.

What the grade depends on most (title, level, place, workplace, skills, credential) stands first.
"""

from typing import Any

import numpy as np

from tasks.core.simulation.catalog import Catalog
from tasks.core.simulation.jobs import (
    AUTHORIZATION,
    EMPLOYMENTS,
    LEVELS,
    MID,
    SHIFTS,
    TRAVEL,
    WORKPLACES,
    Jobs,
)
from tasks.core.simulation.phrases import article, load_phrases

_TITLE_FORMS = (
    ("{t} Intern", "Intern {t}", "{t} Trainee"),
    ("Junior {t}", "Jr. {t}", "Entry Level {t}", "Graduate {t}", "Associate {t}"),
    ("{t}", "{t}", "{t}", "{t} II"),
    ("Senior {t}", "Sr {t}", "Senior {t}", "{t} III", "Experienced {t}"),
    ("Lead {t}", "Principal {t}", "{t} Lead"),
    ("{t} Manager", "Manager of {t} Team", "{t} Team Manager"),
    ("Director of {t} Team", "Head of {t} Team", "{t} Director"),
    ("VP {t} Group", "Chief {t}", "{t} Vice President"),
)
_SHORT_WORDS = ("chef", "cook", "vet")
_VAGUE_TITLES = ("Team Member", "Specialist", "Associate", "Professional Needed", "Staff Opening")
_MIN_WORDS, _MAX_WORDS = 35, 60
_LEVEL_SILENT, _CREDENTIAL_SILENT, _WORKPLACE_IN_TEXT = 0.5, 0.25, 0.75


class JobWriter:
    """Writes jobs one after the other from one stream of random numbers."""

    def __init__(self, rng: np.random.Generator, catalog: Catalog, jobs: Jobs) -> None:
        self._rng, self._catalog, self._jobs = rng, catalog, jobs
        self._phrases = load_phrases()

    def title(self, job: int) -> str:
        """The headline: level word and a name of the occupation; nothing of use where vague."""
        jobs = self._jobs
        if jobs.vague[job]:
            return self._any(_VAGUE_TITLES)
        name = self._name(job, int(jobs.surface[job]))
        title = self._any(_TITLE_FORMS[jobs.level[job]]).format(t=name)
        extra = self._rng.random()
        if extra < 0.08 and jobs.workplace[job] == WORKPLACES.index("remote"):
            return f"{title} (Remote)"
        if extra < 0.16 and jobs.shift[job] == SHIFTS.index("night"):
            return f"{title} - Nights"
        if extra < 0.2:
            return f"{title} - {self._catalog.places.city[jobs.place[job]]}"
        return title

    def text(self, job: int) -> str:
        """What the posting says, most decisive first."""
        sentences = [self._opening(job), *self._demands(job), *self._conditions(job)]
        sentences += self._perks(job)
        words = sum(len(sentence.split()) for sentence in sentences)
        fillers = self._rng.permutation(len(self._phrases["filler"]))
        for index in fillers:
            if words >= _MIN_WORDS:
                break
            filler = self._phrases["filler"][index].format(industry=self._industry(job))
            sentences.append(filler)
            words += len(filler.split())
        return " ".join(" ".join(sentences).split()[:_MAX_WORDS])

    def attributes(self, job: int) -> dict[str, Any]:
        """The structured fields of the product; employers leave some of them empty."""
        jobs = self._jobs
        level, workplace = int(jobs.level[job]), WORKPLACES[jobs.workplace[job]]
        fields: dict[str, Any] = {"place": self._catalog.places.city[jobs.place[job]]}
        fields["workplace"] = workplace
        if not self._chance(0.4):
            fields["level"] = LEVELS[level]
        fields["employment"] = EMPLOYMENTS[jobs.employment[job]].replace("_", " ")
        if jobs.pay_stated[job]:
            fields["pay"] = f"{jobs.pay_low[job]}k-{jobs.pay_high[job]}k"
        fields["industry"] = self._industry(job)
        fields["company"] = self._catalog.companies[jobs.company[job]]
        days = int(jobs.posted_days[job])
        fields["posted"] = "1 day ago" if days == 1 else f"{days} days ago"
        return fields

    def _any(self, options: tuple[str, ...] | list[str]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _say(self, slot: str, **words: str | int) -> str:
        return self._any(self._phrases[slot]).format(**words)

    def _industry(self, job: int) -> str:
        return self._catalog.industries[int(self._jobs.industry[job])]

    def _name(self, job: int, surface: int) -> str:
        name = self._catalog.occupations.surfaces[int(self._jobs.occupation[job])][surface]
        initials = len(name) <= 4 and name.isalpha() and name not in _SHORT_WORDS
        return name.upper() if initials else _capitalized(name)

    def _country(self, job: int) -> str:
        places = self._catalog.places
        return places.countries[int(places.country_id[self._jobs.place[job]])]

    def _opening(self, job: int) -> str:
        """Employer, place, occupation in other words than the title's, workplace, level."""
        jobs, places = self._jobs, self._catalog.places
        words = {
            "company": self._catalog.companies[jobs.company[job]],
            "place": places.city[jobs.place[job]],
            "a_title": article(self._other_name(job)),
        }
        slot = "agency_opening" if jobs.agency[job] else "opening"
        if jobs.vague[job] and not jobs.agency[job]:
            slot = "vague_opening"
        parts = [self._say(slot, **words)]
        workplace = WORKPLACES[jobs.workplace[job]]
        if workplace == "remote" or self._chance(_WORKPLACE_IN_TEXT):
            parts.append(self._say(workplace))
        if jobs.scope[job] > 0:
            scope = ("", "scope_worldwide", "scope_country", "scope_region")[jobs.scope[job]]
            region = places.region[jobs.place[job]]
            parts.append(self._say(scope, country=self._country(job), region=region))
        if jobs.level[job] != MID and not self._chance(_LEVEL_SILENT):
            parts.append(self._say(f"level_{LEVELS[jobs.level[job]]}"))
        sentence = ", ".join(parts) + "."
        return sentence[0].upper() + sentence[1:]

    def _other_name(self, job: int) -> str:
        """How the text calls the occupation: often another of its names, at times just a word."""
        if self._chance(0.2):
            return self._any(["colleague", "new team member", "person like you"])
        names = self._catalog.occupations.surfaces[int(self._jobs.occupation[job])]
        return names[int(self._rng.integers(len(names)))]

    def _demands(self, job: int) -> list[str]:
        """Skills, credential, years."""
        jobs = self._jobs
        said: list[str] = []
        if jobs.vague[job]:
            name = self._catalog.occupations.surfaces[jobs.occupation[job]][0]
            said.append(self._say("vague_duties", a_title=article(name)))
        else:
            said.append(self._say("required", skills=self._listed(jobs.required[job])))
        credential = int(jobs.credential[job])
        implied = credential >= 0 and credential != self._catalog.degree
        if credential >= 0 and not (implied and self._chance(_CREDENTIAL_SILENT)):
            phrase = self._any(self._catalog.credentials[credential][1:])
            said.append(self._say("credential", credential=phrase))
        if jobs.years[job] > 0:
            said.append(self._say("years", years=int(jobs.years[job])))
        if not jobs.vague[job] and jobs.preferred[job, 0] >= 0:
            said.append(self._say("preferred", extra=self._listed(jobs.preferred[job])))
        return [sentence[0].upper() + sentence[1:] for sentence in said]

    def _listed(self, skills: Any) -> str:
        words = [self._skill(int(skill)) for skill in skills if skill >= 0]
        return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]

    def _skill(self, skill: int) -> str:
        surfaces = self._catalog.skills[skill]
        return surfaces[0] if self._chance(0.5) else self._any(surfaces)

    def _conditions(self, job: int) -> list[str]:
        """Employment, shift, travel, language, authorization: only what differs from the usual."""
        jobs, country = self._jobs, self._country(job)
        said: list[str] = []
        employment = EMPLOYMENTS[jobs.employment[job]]
        if employment != "full_time" or self._chance(0.2):
            months = int(self._rng.integers(3, 13))
            said.append(self._say(f"employment_{employment}", months=months))
        if jobs.shift[job] > 0:
            said.append(self._say(f"shift_{SHIFTS[jobs.shift[job]]}"))
        if jobs.language[job] >= 0:
            said.append(self._say("language", language=self._catalog.languages[jobs.language[job]]))
        if jobs.authorization[job] > 0:
            slot = f"authorization_{AUTHORIZATION[jobs.authorization[job]]}"
            said.append(self._say(slot, country=country))
        if jobs.travel[job] > 0:
            said.append(self._say(f"travel_{TRAVEL[jobs.travel[job]]}"))
        for flag, slot in ((jobs.closed, "closed"), (jobs.degree_preferred, "degree_preferred")):
            if flag[job]:
                said.append(self._say(slot))
        if jobs.dropped_skill[job] >= 0:
            said.append(self._say("dropped", dropped=self._skill(int(jobs.dropped_skill[job]))))
        return said

    def _perks(self, job: int) -> list[str]:
        jobs = self._jobs
        slots = (("commission", jobs.commission), ("flexible", jobs.flexible))
        said = [self._say(slot) for slot, flag in slots if flag[job]]
        if jobs.training[job]:
            said.append(self._say("training"))
        if jobs.stuffed[job]:
            keywords = ", ".join(self._random_name(job) for _ in range(4))
            said.append(self._say("stuffed", keywords=keywords))
        elif self._chance(0.5):
            said.append(self._say("distractor", other=self._neighbor_name(job)))
        return said

    def _random_name(self, job: int) -> str:
        names = self._catalog.occupations.surfaces
        other = int(self._rng.integers(len(names)))
        return names[other][0] if other != self._jobs.occupation[job] else "work"

    def _neighbor_name(self, job: int) -> str:
        """Another occupation of the same or a related family: the words of a false friend."""
        occupations, own = self._catalog.occupations, int(self._jobs.occupation[job])
        near = np.flatnonzero(occupations.family == occupations.family[own])
        other = int(near[self._rng.integers(len(near))])
        return occupations.surfaces[other][0] if other != own else "team"


def _capitalized(name: str) -> str:
    return " ".join(word[0].upper() + word[1:] for word in name.split())
