"""Step: the effects in service learn from newer impressions; promoted if they do not lose.

The scorer stays as it is, byte for byte: a refresh costs its logits on the new rows and a fit.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tasks.core.clicks_filter import people_only
from tasks.core.domain.catalog import Catalog
from tasks.core.environment import environment, lock_sha256
from tasks.core.errors import CookbookError
from tasks.core.forgotten_members import ForgottenMembers
from tasks.core.intervals import Interval
from tasks.core.personalization.effects import Effects
from tasks.core.personalization.forgotten_effects import without_members
from tasks.core.personalization.refresh import (
    NewImpressions,
    new_impressions,
    refresh,
    refresh_gain,
)
from tasks.core.personalization.sharded_fit import fit_in_shards
from tasks.core.promotion import decide_refresh
from tasks.core.retrieval.document_vectors import document_vectors
from tasks.core.retrieval.embeddings import TextEncoder
from tasks.core.store.artifacts import MANIFEST as ARTIFACT_MANIFEST
from tasks.core.store.artifacts import Artifact, Counts, Workbench, store_root
from tasks.core.store.files import write_json
from tasks.core.store.registry import Registry
from tasks.core.store.settling import settle
from tasks.core.store.versions import MANIFEST, Model
from tasks.core.tables import read_table
from tasks.core.training.base_models import BaseModel
from tasks.core.training.scorer import PairScorer
from tasks.exchange import EFFECTS, LOG, SCORER, Domain
from tasks.personal_settings import RefreshSettings
from tasks.run import current_run
from tasks.settings import BaseModelSettings
from tasks.step import make, step

REFRESH = "refresh.json"


@step
def refresh_effects(
    domain: Domain,
    encoder: BaseModelSettings,
    settings: RefreshSettings,
    *,
    held_out_members: float,
    approval_required: bool,
) -> dict[str, Any]:
    """Bring the effects in service up to date; returns decision, version and reasons.

    Members who were forgotten are left out: their effects, and what the log holds of them.

    Raises:
        CookbookError: no effects are in service, or the domain has no click log.
    """
    registry = Registry(store_root() / current_run().domain / "registry")
    forgotten = ForgottenMembers.load(store_root() / current_run().domain)
    served, effects, base = _in_service(registry, encoder)
    effects = replace(effects, game=without_members(effects.game, forgotten))
    if domain.impressions is None:
        raise CookbookError("A refresh learns from a click log, and the domain has none. Add one.")
    new = _new_rows(domain.impressions, effects, settings, held_out_members, forgotten)
    if len(new.rows) < settings.minimum_rows or not new.can_test:
        reason = (
            f"{len(new.rows):,} new impressions since the effects learned; a refresh needs "
            f"{settings.minimum_rows:,}, with clicks among the latest. Nothing changed."
        )
        return {"decision": "skipped", "version": served.version, "reasons": [reason]}
    outside = {"served": served.manifest_sha256} | (
        {"forgotten": forgotten.digest} if forgotten else {}
    )
    made = _refreshed(domain, served, effects, base, new, settings, held_out_members, outside)
    measured = made.json(REFRESH)
    decision, reasons = decide_refresh(
        Interval(**measured["gain"]),
        settings.margin_auc,
        approval_required=approval_required,
    )
    made_of = _made_of(domain, domain.impressions, made, settings)
    version = _register(
        registry, served, made, {"refresh": dict(measured), "refreshed_by": made_of}
    )
    decision, reasons = settle(
        registry, version, decision, reasons, compared_with=served.version, by="personalize"
    )
    return {"decision": decision, "version": version, "reasons": reasons, **measured}


def _in_service(registry: Registry, encoder: BaseModelSettings) -> tuple[Model, Effects, BaseModel]:
    served = registry.current()
    if served is None or not served.file(EFFECTS).is_dir():
        raise CookbookError(
            f"A refresh starts from effects in service; {registry.folder} has "
            f"{'no model' if served is None else 'a model without effects'} in service. Run "
            "`cookbook run` on a domain with a click log first."
        )
    effects = Effects.load(served.file(EFFECTS))
    base = BaseModel(**encoder.model_dump())
    if base.fingerprint() != effects.view.encoder:
        raise CookbookError(
            f"The effects in service see documents through the encoder {effects.view.encoder}, "
            f"the profile names {base.fingerprint()}; coefficients of one mean nothing in the "
            "other. Use the profile of the run that made them, or run `cookbook run`."
        )
    return served, effects, base


def _new_rows(
    log: Artifact,
    effects: Effects,
    settings: RefreshSettings,
    held_out_members: float,
    forgotten: ForgottenMembers,
) -> NewImpressions:
    columns, _ = people_only(read_table(log.file(LOG)), datetime.now(UTC))
    return new_impressions(
        columns,
        after=effects.learned_until,
        held_out_members=held_out_members,
        testing_share=settings.testing_share,
        fitting_rows=settings.fitting_rows,
        testing_rows=settings.testing_rows,
        seed=settings.seed,
        forgotten=forgotten,
    )


def _refreshed(
    domain: Domain,
    served: Model,
    effects: Effects,
    base: BaseModel,
    new: NewImpressions,
    settings: RefreshSettings,
    held_out_members: float,
    outside: Mapping[str, str],
) -> Artifact:
    """The new effects, and how they do on the latest rows beside those in service."""
    shards = settings.shards

    def build(bench: Workbench) -> Counts:
        catalog = Catalog.load(domain.catalog.folder)
        known = _with_new_documents(effects, catalog, base, new)
        logits, n = _click_logits(served, catalog, new), len(new.fitting)
        fresh = refresh(
            known,
            new.fitting,
            logits[:n],
            catalog,
            passes=settings.passes,
            prior_weight=settings.prior_weight,
            fit=fit_in_shards(
                shards.count, bench.scratch, threads=shards.threads, ray_address=shards.ray_address
            ),
        )
        fresh.save(bench.out / EFFECTS)
        before, after, gain = refresh_gain(known, fresh, new.testing, logits[n:], catalog)
        figures = {"auc_in_service": before, "auc_refreshed": after, "gain": gain}
        write_json(bench.out / REFRESH, {name: asdict(one) for name, one in figures.items()})
        return {"fitting_rows": n, "testing_rows": len(new.testing)}

    return make(
        "refreshed_effects",
        build,
        module=__name__,
        settings={
            # What only decides about the effects, or splits the work, makes no other ones.
            **settings.model_dump(mode="json", exclude={"margin_auc", "minimum_rows", "shards"}),
            "held_out_members": held_out_members,
        },
        upstream=[domain.catalog, domain.impressions],
        outside=outside,
    )


def _with_new_documents(
    effects: Effects, catalog: Catalog, base: BaseModel, new: NewImpressions
) -> Effects:
    known = effects.view.vectors
    unseen = {row["doc_id"] for row in new.rows} - known.keys()
    if not unseen:
        return effects
    found = document_vectors(TextEncoder.of(base), catalog, unseen, {})
    vectors = dict(sorted({**known, **found}.items()))
    return replace(effects, view=replace(effects.view, vectors=vectors))


def _click_logits(served: Model, catalog: Catalog, new: NewImpressions) -> Any:
    scorer = PairScorer.load(served.file(SCORER), for_scoring=True)
    current_run().progress("refreshed_effects", 0, 1)
    logits = scorer.logits(catalog.pairs(scorer.template, new.rows))
    return logits[:, scorer.outputs.grade_count].astype(np.float64)


def _made_of(
    domain: Domain, log: Artifact, made: Artifact, settings: RefreshSettings
) -> dict[str, Any]:
    """What the new effects come from, since the run behind the scorer knows another log."""
    files = {
        name: sha256
        for one in (domain.catalog, log)
        for name, sha256 in one.json(ARTIFACT_MANIFEST)["key"]["outside"].items()
    }
    return {
        "effects": made.digest,
        "data_sha256": files,
        "settings": settings.model_dump(mode="json"),
        "commit": environment()["commit"],
        "lock_sha256": lock_sha256(),
    }


def _register(
    registry: Registry, served: Model, made: Artifact, refreshed: Mapping[str, Any]
) -> str:
    """A version of the same scorer with the new effects; its card keeps whose scorer it is."""
    card = {**served.card, "made_from": served.version, **refreshed}
    card.setdefault("scorer_of", served.version)
    # Whatever else a version holds goes along unchanged.
    kept = (path for path in served.folder.iterdir() if path.name != MANIFEST)
    files = {path.name: path for path in kept} | {EFFECTS: made.file(EFFECTS)}
    return registry.register(files, card)
