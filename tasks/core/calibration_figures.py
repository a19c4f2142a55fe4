"""How far predicted chances lie from what happened, by output, before and after calibration."""

from typing import Any

import numpy as np
from scipy.special import expit

from tasks.core.calibration import ActionCalibration, Reliability, exceedance, reliability
from tasks.core.evaluation import TierLogits, Yardstick


def calibration_figures(
    yardstick: Yardstick, tier: TierLogits, *, n_bins: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Expected calibration errors and reliability curves by output, before and after.

    The grade's event is P(grade >= the middle grade), against people's grades. An action's is of
    a candidate that is looked at: what was taken counts 1 / propensity times. Outputs that were
    not taught, or not calibrated, have null.
    """
    errors: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for name, before, after in _reliabilities(yardstick, tier, n_bins):
        errors[name] = {
            "ece_before": before.expected_error,
            "ece_after": after.expected_error if after else None,
        }
        curves[name] = {"before": before.points()} | ({"after": after.points()} if after else {})
    return errors, curves


def _reliabilities(
    yardstick: Yardstick, tier: TierLogits, n_bins: int
) -> list[tuple[str, Reliability, Reliability | None]]:
    grades = tier.outputs.grade_count
    found: list[tuple[str, Reliability, Reliability | None]] = []
    if tier.knows_grades:
        middle = grades // 2
        logits = tier.golden[:, :grades].astype(np.float64)
        happened = (yardstick.grades >= middle).astype(np.float64)
        temperatures = [1.0, tier.calibration.get("temperature")]
        curves = [
            reliability(exceedance(logits, middle, t), happened, n_bins=n_bins) if t else None
            for t in temperatures
        ]
        assert curves[0] is not None
        found.append(("grade", curves[0], curves[1]))
    if tier.knows_actions and yardstick.has_clicks:
        found += [
            _action_reliability(yardstick, tier, name, column, n_bins)
            for column, name in enumerate(tier.outputs.actions)
        ]
    return found


def _action_reliability(
    yardstick: Yardstick, tier: TierLogits, name: str, column: int, n_bins: int
) -> tuple[str, Reliability, Reliability | None]:
    logits = tier.shown[:, tier.outputs.grade_count + column].astype(np.float64)
    happened = yardstick.weights * yardstick.actions[name]
    before = reliability(expit(logits), happened, n_bins=n_bins)
    knots = tier.calibration.get("actions", {}).get(name)
    if knots is None:
        return name, before, None
    calibrated = ActionCalibration.from_json(knots)(logits)
    return name, before, reliability(calibrated, happened, n_bins=n_bins)
