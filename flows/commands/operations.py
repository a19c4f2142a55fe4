"""`cookbook simulate`, `serve` and `doctor`: around the pipeline."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.commands.options import PROJECT


def simulate(
    *,
    root: Annotated[Path, Parameter(help="Folder to write policy/ and golden_data/ into.")],
    domain: Annotated[
        Literal["job_search"], Parameter(help="The world to simulate.")
    ] = "job_search",
    seed: Annotated[int, Parameter(help="Another seed makes another world.")] = 0,
    scale: Annotated[float, Parameter(help="1.0: 3,000 jobs and 600 members.")] = 1.0,
) -> None:
    """Write a simulated job_search domain, and the truth behind it for tests to read."""
    from tasks.core.policy import parse_policy
    from tasks.core.simulation.domain_files import write_domain
    from tasks.core.simulation.simulate import simulate as make_world

    source = PROJECT / "policy" / domain / "policy.md"
    folder = write_domain(make_world(parse_policy(source), seed=seed, scale=scale), root)
    copy = root / "policy" / domain / "policy.md"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    print(f"Simulated domain in {folder}. Grades and clicks are simulated, not people's.")
