"""`cookbook policy`: check a policy, compare two versions, find the labels a change makes stale."""

from pathlib import Path

from cyclopts import App

from flows.commands.options import DOMAIN, STORE, Domain, Store
from tasks.core.errors import CookbookError

policy = App(name="policy", help="The policy document: lint, diff, affected.")


@policy.command(name="lint")
def lint_policy(path: Path, /) -> None:
    """Check a policy document; prints what is wrong, and exits with 2 if anything is."""
    from tasks.core.policy import lint, parse_policy

    parsed = parse_policy(path)
    findings = lint(parsed)
    for finding in findings:
        print(f"{finding.where}: {finding.message} [{finding.code}]")
    if findings:
        raise CookbookError(f"{path} has {len(findings)} findings, listed above. Mend them.")
    print(
        f"{path}: version {parsed.version}, {len(parsed.dimensions)} dimensions, "
        f"{len(parsed.clauses)} clauses, {len(parsed.precedents)} precedents; nothing to mend."
    )


@policy.command(name="diff")
def diff_policies(old: Path, new: Path, /) -> None:
    """Show what changed between two versions of a policy, clause by clause."""
    from tasks.core.policy import diff, parse_policy

    found = diff(parse_policy(old), parse_policy(new))
    for kind in ("added", "removed", "changed"):
        for clause in getattr(found, kind):
            print(f"{kind} clause {clause}")
    for line in (*found.front_matter, *found.precedents, *found.facts):
        print(line)
    if found.empty:
        print("Nothing that the parser reads differs.")


@policy.command
def affected(new: Path, /, *, domain: Domain = DOMAIN, store: Store = STORE) -> None:
    """Count the labels of the latest run that a new version of the policy makes stale.

    Args:
        new: the changed policy document; it is compared with the one that the run read.
    """
    from tasks.core.inspection import FinishedRun
    from tasks.core.policy import diff, parse_policy
    from tasks.core.tables import iterate_rows

    run = FinishedRun.load(store / domain / "latest")
    old = parse_policy(run.folders("policy")[0] / "policy.md")
    found = diff(old, parse_policy(new))
    changed = {*found.changed, *found.removed}
    rows = list(iterate_rows(run.folders("judgments")[0] / "judgments.parquet"))
    citing = sum(bool(changed & set(row["clauses"])) for row in rows)
    silent = sum(not row["clauses"] for row in rows)
    if found.empty:
        print("Nothing that the parser reads differs: no label is stale.")
        return
    print(f"changed clauses: {', '.join(sorted({*changed, *found.added})) or 'none'}")
    print(f"{citing:,} of {len(rows):,} labels cite one of them.")
    if silent:
        print(f"{silent:,} labels cite no clause, so that all of these count as stale.")
    if found.front_matter:
        print("The front matter changed: new grades or questions make every label stale.")
