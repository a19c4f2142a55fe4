"""Writes the queries of members: what they want, in words that people type."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tasks.core.simulation.catalog import (
    ADJACENT,
    GENERALIZATION,
    SAME_FAMILY,
    SPECIALIZATION,
    Catalog,
    Ints,
)
from tasks.core.simulation.jobs import DIRECTOR, JUNIOR, Jobs
from tasks.core.simulation.members import Members
from tasks.core.simulation.queries import (
    CITY,
    COUNTRY,
    EXCLUSIONS,
    KINDS,
    NIGHT_SHIFT,
    NO_PLACE,
    REGION,
    REMOTE,
    Ask,
    load_templates,
)

_GROUP_WEIGHTS = (0.17, 0.09, 0.15, 0.07, 0.14, 0.19, 0.07, 0.03, 0.04, 0.05)
_LEVEL_WORDS = (
    ("intern", "internship", "trainee"),
    ("junior", "entry level", "jr", "graduate"),
    ("mid level", "intermediate"),
    ("senior", "sr", "experienced"),
    ("lead", "principal", "staff"),
    ("manager", "team manager"),
    ("director", "head of"),
    ("vp", "chief", "executive"),
)
_EMPLOYMENT_WORDS = (
    ("full time", "permanent"),
    ("part time", "20 hours a week"),
    ("contract", "freelance"),
    ("temporary", "temp"),
    ("internship",),
    ("night shift", "overnight"),
)
_WORKPLACE_WORDS = (("remote", "work from home"), ("hybrid",), ("on site", "in office"))
_EXCLUSION_WORDS = (
    ("no agencies", "without recruiters", "direct employers only"),
    ("no night shifts", "not nights"),
    ("no travel", "without travel"),
    ("no degree", "without a degree"),
    ("not remote", "no remote"),
    ("no office", "not on site"),
    ("no management", "not managing people"),
    ("no commission", "not commission based"),
    ("not {industry}", "no {industry}"),
)


class QueryWriter:
    """Writes queries that members of this world would type, from jobs that exist in it."""

    def __init__(
        self, rng: np.random.Generator, catalog: Catalog, jobs: Jobs, members: Members
    ) -> None:
        self._rng, self._catalog, self._jobs, self._members = rng, catalog, jobs, members
        order = np.argsort(jobs.occupation, kind="stable")
        ends = np.searchsorted(
            jobs.occupation[order], np.arange(catalog.occupations.count), side="right"
        )
        self._jobs_of = np.split(order, ends)[: catalog.occupations.count]
        relation = catalog.occupations.relation
        reachable = (ADJACENT, SAME_FAMILY, SPECIALIZATION, GENERALIZATION)
        self._reachable = [np.flatnonzero(np.isin(row, reachable)) for row in relation]

    def write(
        self, member: int, held_out_template: bool, allowed: Callable[[int], bool]
    ) -> Ask | None:
        """One query of this member, or None where the draw asks for a barred occupation."""
        group = self._pick(_GROUP_WEIGHTS)
        templates = load_templates()
        fitting = [
            i
            for i, template in enumerate(templates)
            if template.group == group and template.held_out == held_out_template
        ]
        if not fitting:
            return None
        chosen = fitting[self._pick([templates[i].weight for i in fitting])]
        ask = Ask(member, kind=templates[chosen].kind, template=chosen)
        occupation = self._occupation(ask)
        if not allowed(occupation) or not len(self._jobs_of[occupation]):
            return None
        anchor = self._anchor(occupation, int(self._members.place[member]))
        ask.occupation = occupation
        ask.surface = self._surface(occupation)
        text = self._fill(ask, templates[ask.template].text, anchor)
        if text is None:
            return None
        ask.text = self._modify(ask, text, anchor).lower()
        return ask

    def _pick(self, weights: Sequence[float]) -> int:
        cumulative = np.cumsum(weights)
        return int(np.searchsorted(cumulative, self._rng.random() * cumulative[-1], side="right"))

    def _any(self, options: Sequence[str]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _occupation(self, ask: Ask) -> int:
        own = int(self._members.occupation[ask.member])
        elsewhere = 0.6 if KINDS[ask.kind] == "aspirational" else 0.1
        near = self._reachable[own]
        if len(near) and self._chance(elsewhere):
            return int(near[self._rng.integers(len(near))])
        return own

    def _anchor(self, occupation: int, place: int) -> int:
        """An existing job of the occupation, in the member's city where there is one."""
        options = self._jobs_of[occupation]
        local = options[self._jobs.place[options] == place]
        if len(local) and self._chance(0.7):
            options = local
        return int(options[self._rng.integers(len(options))])

    def _surface(self, occupation: int) -> int:
        if self._chance(0.35):
            return 0
        return int(self._rng.integers(len(self._catalog.occupations.surfaces[occupation])))

    def _fill(self, ask: Ask, template: str, anchor: int) -> str | None:
        """Put words into the slots of a template and record what they ask for."""
        slots: dict[str, str] = {}
        names = self._catalog.occupations.surfaces[ask.occupation]
        slots["t"] = self._spelled(ask, names[ask.surface]) if "{t}" in template else ""
        if "{t}" not in template:
            ask.occupation = -1
        if not self._fill_skills(ask, template, anchor, slots):
            return None
        if not self._fill_credential(ask, template, anchor, slots):
            return None
        self._fill_place(ask, template, anchor, slots)
        if "{company}" in template:
            ask.company = int(self._jobs.company[anchor])
            slots["company"] = self._catalog.companies[ask.company]
        if "{industry}" in template:
            ask.industry = int(self._jobs.industry[anchor])
            slots["industry"] = self._catalog.industries[ask.industry]
        if "{level}" in template or template.startswith("entry level"):
            self._fill_level(ask, template, anchor, slots)
        return template.format(**slots)

    def _spelled(self, ask: Ask, title: str) -> str:
        """The title, in 6% of queries with two neighboring letters of a word swapped."""
        words = title.split()
        longest = max(range(len(words)), key=lambda i: len(words[i]))
        word = words[longest]
        if len(word) < 6 or not self._chance(0.06):
            return title
        at = int(self._rng.integers(1, len(word) - 2))
        words[longest] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        ask.misspelt = words[longest] != word
        return " ".join(words)

    def _fill_skills(self, ask: Ask, template: str, anchor: int, slots: dict[str, str]) -> bool:
        wanted = template.count("{skill")
        required = [int(skill) for skill in self._jobs.required[anchor] if skill >= 0]
        if len(required) < wanted:
            return False
        chosen = self._rng.permutation(len(required))[:wanted]
        ask.skills = [required[i] for i in chosen]
        for name, skill in zip(("skill", "skill2"), ask.skills, strict=False):
            surfaces = self._catalog.skills[skill]
            slots[name] = surfaces[0] if self._chance(0.65) else self._any(surfaces)
        return True

    def _fill_credential(self, ask: Ask, template: str, anchor: int, slots: dict[str, str]) -> bool:
        if "{cred}" not in template:
            return True
        ask.credential = int(self._jobs.credential[anchor])
        if ask.credential < 0:
            return False
        slots["cred"] = self._any(self._catalog.credentials[ask.credential][1:])
        return True

    def _fill_place(self, ask: Ask, template: str, anchor: int, slots: dict[str, str]) -> None:
        places = self._catalog.places
        own = int(self._members.place[ask.member])
        place = own if self._chance(0.7) else int(self._jobs.place[anchor])
        for kind, slot in ((CITY, "place"), (REGION, "region"), (COUNTRY, "country")):
            if "{" + slot + "}" in template:
                ask.place_kind, ask.place = kind, place
        city = [places.city[place], *places.aliases[place]]
        country = int(places.country_id[place])
        slots["place"] = city[0] if self._chance(0.75) else self._any(city)
        slots["region"] = places.region[place]
        slots["country"] = self._any([places.countries[country], *places.country_aliases[country]])
        if any(word in template for word in ("remote", "work from home", "telecommute")):
            ask.place_kind, ask.workplace = REMOTE, 0
        if "hybrid" in template:
            ask.workplace = 1

    def _fill_level(self, ask: Ask, template: str, anchor: int, slots: dict[str, str]) -> None:
        own = int(self._members.level[ask.member])
        if "{level}" not in template:
            ask.level = JUNIOR
            return
        if KINDS[ask.kind] == "aspirational":
            ask.level = min(DIRECTOR, own + 2)
        else:
            ask.level = own if self._chance(0.6) else int(self._jobs.level[anchor])
        slots["level"] = self._any(_LEVEL_WORDS[ask.level])

    def _modify(self, ask: Ask, text: str, anchor: int) -> str:
        """Add at most two further wishes: type of employment, workplace, pay, exclusion."""
        added: list[str] = []
        if self._chance(0.1):
            ask.employment = self._pick((0.15, 0.3, 0.2, 0.1, 0.05, 0.2))
            added.append(self._any(_EMPLOYMENT_WORDS[ask.employment]))
        if ask.workplace < 0 and self._chance(0.07):
            ask.workplace = self._pick((0.6, 0.25, 0.15))
            added.append(self._any(_WORKPLACE_WORDS[ask.workplace]))
            if ask.workplace == 0 and ask.place_kind == NO_PLACE:
                ask.place_kind = REMOTE
        if len(added) < 2 and self._chance(0.07):
            ask.pay = max(15, int(self._jobs.pay_low[anchor] * self._rng.uniform(0.8, 1.25)))
            added.append(self._any((f"over {ask.pay}k", f"{ask.pay}k+", f"minimum {ask.pay}k")))
        if len(added) < 2 and self._chance(0.08):
            added.append(self._exclude(ask, anchor))
        return " ".join([text, *filter(None, added)])

    def _exclude(self, ask: Ask, anchor: int) -> str:
        """A "not X" that does not contradict what the query asks."""
        drawn = self._pick((0.2, 0.15, 0.15, 0.12, 0.08, 0.08, 0.08, 0.06, 0.08))
        name = EXCLUSIONS[drawn]
        if (name == "remote" and ask.workplace == 0) or (name == "onsite" and ask.workplace > 0):
            return ""
        if name == "night" and ask.employment == NIGHT_SHIFT:
            return ""
        if name == "industry":
            excluded = int(self._jobs.industry[anchor])
            if excluded == ask.industry:
                return ""
            ask.excluded_industry = excluded
        ask.exclusion = drawn
        words = self._any(_EXCLUSION_WORDS[drawn])
        industry = self._catalog.industries[max(0, ask.excluded_industry)]
        return words.format(industry=industry)


def held_out_occupations(rng: np.random.Generator, catalog: Catalog, share: float = 0.12) -> Ints:
    """Occupations that only gate and sealed queries may ask for, in order of index."""
    count = round(share * catalog.occupations.count)
    chosen: Ints = np.sort(rng.permutation(catalog.occupations.count)[:count])
    return chosen


def unique_queries(
    writer: QueryWriter,
    members: Iterable[int],
    count: int,
    taken: set[str],
    normalize: Callable[[str], str],
    held_out_template: Callable[[], bool],
    allowed: Callable[[int], bool],
    attempts: int = 40,
) -> list[Ask]:
    """Up to `count` queries of the listed members, in their order; adds to `taken`.

    Each has a normalized text that nobody asked before; a member who finds none is passed over.
    """
    asks: list[Ask] = []
    for member in members:
        if len(asks) == count:
            break
        for _ in range(attempts):
            ask = writer.write(member, held_out_template(), allowed)
            if ask is not None and normalize(ask.text) not in taken:
                taken.add(normalize(ask.text))
                asks.append(ask)
                break
    return asks
