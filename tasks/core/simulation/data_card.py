"""The data card of a simulated domain: what it is, how it was made, what it is not good for."""

from collections import Counter
from typing import Any

import numpy as np

from tasks.core.simulation import clicks, golden, older_ranker
from tasks.core.simulation.members import POPULATION_TASTE, TASTE_SPREAD, TASTES
from tasks.core.simulation.world import World


def planted(world: World) -> dict[str, Any]:
    """The numbers the simulator was given or drew, for tests and benchmarks to recover."""
    lists = world.log.lists
    held_out = [world.catalog.occupations.surfaces[i][0] for i in world.held_out]
    return {
        "policy": world.policy.name,
        "policy_version": world.policy.version,
        "policy_digest": world.policy.digest,
        "seed": world.seed,
        "scale": world.scale,
        "bot_list_share": float(np.mean(lists.bot)),
        "repeated_list_share": float(np.mean(lists.repeat_of >= 0)),
        "random_order_list_share": float(np.mean(lists.at_random)),
        "examination": [round(float(p), 6) for p in clicks.examination()],
        "click_intercept": clicks.INTERCEPT,
        "click_relevance": clicks.RELEVANCE,
        "population_taste": dict(zip(TASTES, POPULATION_TASTE.tolist(), strict=True)),
        "taste_spread": TASTE_SPREAD,
        "disparities": {
            "clicks": {"gender": clicks.GROUP_SHIFTED, "logit_shift": clicks.GROUP_SHIFT},
            "raters": {"age_band": golden.RATER_SHIFT_GROUP, "grade_shift": golden.RATER_SHIFT},
            "older_ranker": {
                "employer_size": "under_100",
                "score_shift": -older_ranker.SMALL_EMPLOYER_PENALTY,
            },
        },
        "held_out_occupations": held_out,
    }


def rater_kappa(world: World) -> float:
    """Quadratic kappa between the two raters, over all golden pairs."""
    ratings = world.golden.ratings
    first, second = ratings.rater_1, ratings.rater_2
    differ = np.mean((first - second) ** 2)
    by_chance = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(1.0 - differ / by_chance)


def data_card(world: World) -> str:
    """Markdown for people who open the folder."""
    known, golden_data = planted(world), world.golden
    splits = Counter(golden_data.split)
    shares = np.bincount(golden_data.ratings.grade) / len(golden_data.job)
    lists = world.log.lists
    return _CARD.format(
        name=world.policy.name,
        seed=world.seed,
        scale=world.scale,
        version=world.policy.version,
        digest=world.policy.digest[:16],
        jobs=world.jobs.count,
        members=world.members.count,
        occupations=world.catalog.occupations.count,
        held_out=len(world.held_out),
        golden_queries=len(golden_data.split),
        pairs=len(golden_data.job),
        tune=splits["tune"],
        gate=splits["gate"],
        sealed=splits["sealed"],
        shares=", ".join(f"{grade}: {share:.1%}" for grade, share in enumerate(shares)),
        kappa=rater_kappa(world),
        traffic=len(world.labeled_traffic),
        lists=len(lists.query),
        rows=lists.jobs.size,
        clicks=int(world.log.actions.clicked.sum()),
        last_clicks=int(world.log.actions.clicked[:, -1].sum()),
        saved=int(world.log.actions.saved.sum()),
        applied=int(world.log.actions.applied.sum()),
        at_random=known["random_order_list_share"],
        bots=known["bot_list_share"],
        bot_members=int(world.members.bot.sum()),
        repeats=known["repeated_list_share"],
        examination=clicks.EXAMINATION_DECAY,
        click_shift=clicks.GROUP_SHIFT,
        click_group=clicks.GROUP_SHIFTED,
        rater_shift=golden.RATER_SHIFT,
        rater_group=golden.RATER_SHIFT_GROUP,
        size_shift=older_ranker.SMALL_EMPLOYER_PENALTY,
    )


_CARD = """# Data card: {name}

**Everything in this folder is simulated.** No person wrote these queries, held these jobs, gave
these grades or clicked on these results. The files were written by the simulator that ships with
the code (`cookbook simulate`, seed {seed}, scale {scale:g}) under version {version} of the policy
(digest {digest}). The same seed, scale and policy give the same files, byte for byte, on the
pinned library versions.

## What is here

| file | content |
| --- | --- |
| documents.jsonl.gz | {jobs} job postings: title, text, structured fields; group: employer size |
| members.jsonl.gz | {members} member profiles; groups: gender, age band |
| golden.csv | {pairs} graded pairs: {tune} tune, {gate} gate, {sealed} sealed queries x 20 |
| queries.csv | {traffic} queries of the traffic, one member each, without grades |
| impressions.csv.gz | {rows} rows: {lists} lists of 10; one impression_id names one list |
| truth/ | what only a simulator knows. Tests and benchmarks read it, the pipeline never does |

Adjudicated grades: {shares}.
Clicks: {clicks} ({last_clicks} of them at position 10), {saved} saved, {applied} applied.

## How it was made

- **Taxonomy.** {occupations} occupations in families, with synonyms, abbreviations, skills,
  credentials, pay and kinship between occupations; cities with coordinates; companies with
  industries and subsidiaries. All written by hand; companies and people are invented.
- **Jobs and members** are drawn from it as facts first and put into words after, from many
  surface templates, with other titles in the text, stuffed and vague postings, and facts that a
  reader has to infer (a city's country, the license behind an "RN").
- **Grades.** The true grade of a pair is what the policy's decision tables give over the facts of
  query, member and job; it stands in truth/grades.csv.gz. Two simulated raters read the weighted
  mean behind it with noise, so that close calls are the ones they miss; where they differ, a
  careful third decides. The `dim_` columns are the true dimension grades. Quadratic kappa between
  the raters: {kappa:.3f}.
- **Candidates** of a golden query come from strata (jobs a filter would find, neighbors, jobs
  with the query's words, chance), never from the grades.
- **Held out.** {held_out} occupations and every tenth query template or so are asked for in gate
  and sealed queries only; no tune pair and no list of the log shows a job of such an occupation.
- **Clicks.** P(click) = examination(position) x attraction, over 60 days. Examination is
  position ** -{examination:g}. Attraction is a logistic function of the true grade, the member's
  own tastes (remote work, pay, mission, flexible hours, training, fresh postings) and the job's
  appeal. Saves and applications follow clicks. An older ranker chose and ordered the lists, by
  shared words and habits of its own; {at_random:.1%} of the lists are in random order.

## Known flaws, planted on purpose

- {bots:.1%} of the lists come from {bot_members} bots, which click almost everything.
- {repeats:.1%} of the lists repeat another one within minutes; most clicks on them are repeats.
- Members with gender `{click_group}` click less: {click_shift:+g} logits, whatever the match.
- Raters grade members with age band `{rater_group}` lower: {rater_shift:+g} before rounding.
- The older ranker scores jobs of employers with size `under_100` lower, by {size_shift:g}.

Groups stand in `groups` only; no text and no structured field names them. Gender follows
occupation in part, as it does in life.

## What it must not be used for

Do not use it to say how any real product, market, occupation or group of people behaves, to
train or judge a model that ranks real jobs for real people, or to compare models beyond this
project: the words come from templates, and a model may learn the templates. Numbers measured
here show that the pipeline works and what it loses at each step, not how well it would rank for
your members. Do not train on truth/.
"""
