"""What is written down: lengths, words for what matters, and no trace of the groups."""

import re

import numpy as np

from tasks.core.simulation.job_texts import JobWriter
from tasks.core.simulation.jobs import SIZES
from tasks.core.simulation.members import AGE_BANDS, GENDERS
from tasks.core.simulation.phrases import load_phrases
from tasks.core.simulation.world import World


def visible(world: World) -> list[str]:
    jobs, members = world.shown_jobs, world.shown_members
    texts = jobs.titles + jobs.texts + members.texts + world.queries.text
    return texts + [str(fields) for fields in jobs.attributes + members.attributes]


def test_no_text_or_field_names_a_group(world: World) -> None:
    words = re.compile(r"\b(" + "|".join(map(re.escape, SIZES + GENDERS + AGE_BANDS)) + r")\b")
    gendered = re.compile(r"\b(female|male|women|men|he|she|his|her|age|aged)\b")
    for text in visible(world):
        assert not words.search(text.lower()), text
        assert not gendered.search(text.lower()), text


def test_texts_have_the_promised_length(world: World) -> None:
    jobs = [len(text.split()) for text in world.shown_jobs.texts]
    members = [len(text.split()) for text in world.shown_members.texts]
    assert max(jobs) <= 60
    assert min(jobs) >= 25
    assert 35 <= np.median(jobs) <= 55
    assert 15 <= np.median(members) <= 30
    assert max(members) <= 40


def test_many_surface_forms_are_in_use() -> None:
    assert sum(len(forms) for forms in load_phrases().values()) >= 150


def test_job_names_its_city_and_its_skills_near_the_start(world: World) -> None:
    cities = world.catalog.places.city
    for row, text in enumerate(world.shown_jobs.texts):
        start = " ".join(text.split()[:20])
        assert cities[world.jobs.place[row]] in start
    skills = world.catalog.skills
    plain = np.flatnonzero(~world.jobs.vague)
    for row in plain[:200]:
        start = " ".join(world.shown_jobs.texts[row].lower().split()[:45])
        assert any(name in start for name in skills[world.jobs.required[row, 0]])


def test_vague_jobs_keep_their_occupation_out_of_the_title(world: World) -> None:
    vague = np.flatnonzero(world.jobs.vague)
    names = world.catalog.occupations.surfaces
    for row in vague:
        title = world.shown_jobs.titles[row].lower()
        assert names[world.jobs.occupation[row]][0] not in title


def test_writing_from_the_same_stream_gives_the_same_words(world: World) -> None:
    def write() -> list[str]:
        writer = JobWriter(np.random.default_rng(3), world.catalog, world.jobs)
        return [writer.text(row) for row in range(50)]

    assert write() == write()
