"""`make check`: the license of every pinned package, as the package itself states it.

A package that states none, or one that would bind whoever distributes this project (GPL or AGPL
without another license to choose), ends the check.
"""

import re
import sys
from collections import defaultdict
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import cast

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
BINDING = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
OPEN = re.compile(r"MIT|BSD|Apache|ISC|MPL|PSF|Python|Artistic|LGPL|Unlicense|0BSD|Zlib", re.I)


def license_of(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the license field."""
    about = cast(Message, package.metadata)  # the protocol hides what it is
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [str(one) for one in about.get_all("Classifier", [])]
    named = [one.split(" :: ")[-1] for one in classifiers if one.startswith("License ::")]
    return "; ".join(named) or str(about.get("License") or "").partition("\n")[0][:60]


def main() -> None:
    """Print packages by license; exit with 1 where one states none or binds."""
    by_license: dict[str, list[str]] = defaultdict(list)
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        name, _, _ = line.partition("==")
        try:
            by_license[license_of(distribution(name))].append(name)
        except (PackageNotFoundError, ValueError):
            continue  # a comment, or a package of an extra that is not installed
    for license_name, packages in sorted(by_license.items()):
        print(f"{license_name or 'NO LICENSE STATED'}: {', '.join(packages)}")
    bad = [
        name for name in by_license if not name or (BINDING.search(name) and not OPEN.search(name))
    ]
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
