"""`cookbook policy`: check a policy, compare two versions, find the labels a change makes stale."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from flows.commands.options import DOMAIN, STORE, Domain, Store, existing_store
from tasks.core.errors import CookbookError

if TYPE_CHECKING:
    from tasks.affected import AffectedLabels

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
def affected(
    new: Path,
    /,
    *,
    sample: Annotated[
        int, Parameter(help="Labels that seem untouched, asked again; each costs a call.")
    ] = 0,
    domain: Domain = DOMAIN,
    store: Store = STORE,
) -> None:
    """Show which stored labels a new version of the policy makes stale, and what they cost anew.

    Args:
        new: the changed policy document; it is compared with the one behind the last labels.
    """
    from tasks.affected import affected_labels
    from tasks.core.domain.paths import valid_name
    from tasks.core.policy import parse_policy
    from tasks.run import open_run

    existing_store(store, valid_name(domain, "domain"))
    changed = parse_policy(new)
    with open_run(store, domain):
        for found in affected_labels(changed, sampled=sample):
            _show_affected(found)


def _show_affected(found: "AffectedLabels") -> None:
    plan, missed = found.plan, found.missed
    labeled = found.kept + found.stale
    price = "price unknown" if plan.usd is None else f"about {plan.usd:,.2f} USD"
    print(f"judge:    {found.judge}")
    print(f"changed:  {', '.join(found.changed_clauses) or 'no clause'}")
    print(f"stale:    {found.stale:,} of {labeled:,} labels ({found.stale_share:.1%})")
    print(f"relabel:  {plan.to_label:,} calls, {price}, by {plan.token_rule}")
    print("checks:   the judge is checked anew as well; `cookbook plan` counts its calls")
    if missed.rate:
        print(
            f"missed:   {missed.changed} of {missed.sampled} labels that cite no changed clause "
            f"have another grade ({missed.rate.value:.1%}, 95% interval {missed.rate.low:.1%} to "
            f"{missed.rate.high:.1%}; the judge's own wobble counts)"
        )
    else:
        print("missed:   not measured; --sample 50 asks about 50 of the other labels again")
    if found.unlabeled:
        print(f"unlabeled: {found.unlabeled:,} pairs have no label yet")
