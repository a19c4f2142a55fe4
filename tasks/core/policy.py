"""A policy document: what a good match is, clause by clause. docs/policy.md has the format.

policy = parse_policy(Path("policy/job_search/policy.md"))
policy.aggregate({"TITLE": 4, "PLACE": 2})
"""

from tasks.core.policies.diff import PolicyDiff, diff
from tasks.core.policies.lint import Finding, lint
from tasks.core.policies.model import Cap, Clause, Dimension, GradeLevel, Policy, Precedent
from tasks.core.policies.parse import parse_policy, parse_policy_text
from tasks.core.policies.table_syntax import Fact

__all__ = [
    "Cap",
    "Clause",
    "Dimension",
    "Fact",
    "Finding",
    "GradeLevel",
    "Policy",
    "PolicyDiff",
    "Precedent",
    "diff",
    "lint",
    "parse_policy",
    "parse_policy_text",
]
