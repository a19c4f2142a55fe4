"""What 1/propensity is worth to the model of words, on a log of any length.

    python -m benchmarks.debiasing --store FOLDER [--scale 4] [--seed 0]

A simulated world of ``scale`` times the shipped one's members, jobs and lists is written and its
log divided as a run of the laptop divides it. The model of words is fitted on the training log with
1/propensity and with every weight 1; both rank what held-out members were shown in random order,
every such row of it. The shipped log has 2,300 of these, whose interval is as wide as the effect.
"""

import argparse
import json
import platform
from pathlib import Path

from benchmarks.world_ablations import words_debiasing
from benchmarks.worlds import DOMAIN, simulated
from flows.profiles import laptop
from tasks.branch import changed
from tasks.collect_impressions import collect_impressions
from tasks.core.domain.catalog import Catalog
from tasks.core.tables import read_rows
from tasks.exchange import IMPRESSIONS
from tasks.ingest import ingest
from tasks.run import open_run

ALL = 1_000_000


def main() -> None:
    """Simulate, divide, fit twice and print the difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="folder for world and artifacts")
    parser.add_argument("--scale", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = options.store / f"world-{options.seed}-{options.scale:g}"
    simulated(options.seed, root, scale=options.scale)
    settings = laptop()
    with open_run(options.store / "runs", DOMAIN):
        domain = ingest.fn(DOMAIN, root, settings.golden)
        log = collect_impressions.fn(domain, changed(settings.impressions, evaluation_rows=ALL))
    held_out = [row for row in read_rows(log.file(IMPRESSIONS)) if row["use"] == "held_out"]
    catalog = Catalog.load(domain.catalog.folder)
    figures = {"held_out_rows": len(held_out)}
    figures |= words_debiasing(log.folder, catalog, held_out, settings)
    environment = {"python": platform.python_version(), "machine": platform.machine()}
    result = {"name": "debiasing", "equal": None, "ratios": {}, "figures": figures}
    print(json.dumps(result | {"environment": environment}))


if __name__ == "__main__":
    main()
