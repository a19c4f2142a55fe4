"""@step: a Prefect task with this project's defaults, and the store's last mile for each step.

Prefect shows and triggers; the store decides what is done (see docs/operations.md). So results
are not persisted, nothing is cached by Prefect, and a step returns a small Artifact.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from tasks.core.store.artifacts import Artifact, Build, materialize
from tasks.core.store.source import source_digest
from tasks.run import current_run

P = ParamSpec("P")
R = TypeVar("R")
logger = logging.getLogger(__name__)


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function a step: a Prefect task of the same name and signature, never retried.

    Retrying a failed training hides its bug; labeling retries its own requests.
    """
    made = task(
        name=function.__name__,
        cache_policy=NO_CACHE,
        persist_result=False,
        log_prints=False,
    )(function)
    return cast("Callable[P, R]", made)


def make(
    kind: str,
    build: Build,
    *,
    module: str,
    settings: BaseModel | Mapping[str, Any] | None = None,
    upstream: Sequence[Artifact | None] = (),
    outside: Mapping[str, str] | None = None,
) -> Artifact:
    """Materialize an artifact of the run and show it in the run's progress.

    Args:
        module: the step's ``__name__``: its source, and what it imports, is part of the digest.
        upstream: artifacts read; None stands for a part the domain does not have.
    """
    run = current_run()
    run.starts(kind)
    branch = settings.model_dump(mode="json") if isinstance(settings, BaseModel) else settings
    artifact = materialize(
        kind,
        build,
        settings=branch or {},
        upstream=[artifact for artifact in upstream if artifact is not None],
        outside=outside,
        source=source_digest(module),
    )
    run.finished(artifact)
    return artifact
