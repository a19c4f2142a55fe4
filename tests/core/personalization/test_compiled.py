"""Cached kernels: a change in a file that another file's kernels call must reach them."""

import hashlib
from pathlib import Path

from tasks.core.personalization import cholesky, solver


def test_the_solver_holds_the_digest_of_the_kernels_it_calls() -> None:
    """Else its cached machine code would keep the old ones: write the new digest there."""
    source = Path(cholesky.__file__).read_bytes()
    assert hashlib.sha256(source).hexdigest()[:16] == solver.CHOLESKY
