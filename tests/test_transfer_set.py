"""The pairs that students learn from: of the click log, none of queries that measure something."""

from pathlib import Path
from typing import Any

from tasks.core.tables import columns_of, read_rows, write_table
from tasks.exchange import GOLDEN, IMPRESSIONS, JUDGMENTS, TRANSFER, Domain, use_of
from tasks.run import open_run
from tasks.settings import BaseModelSettings, MixSettings
from tasks.transfer_set import gather_transfer_set
from tests.test_distill import made

ENCODER = BaseModelSettings(source="embedded")
NO_MIX = MixSettings()
TRAINING, CALIBRATING = (
    next(name for name in (f"q{number}" for number in range(99)) if use_of(name) == use)
    for use in ("train", "calibrate")
)
GOLDEN_ROWS = [
    {"query": "Night nurse in Oslo", "split": "sealed"},
    {"query": "pilot in lima", "split": "gate"},
    {"query": "baker in cairo", "split": "tune"},
]


def shown(pair_id: str, query_id: str, query: str, use: str = "train") -> dict[str, Any]:
    return {"pair_id": pair_id, "query_id": query_id, "query": query, "use": use} | {
        "member_id": "m0",
        "doc_id": "d0",
    }


SHOWN = [
    shown("any", TRAINING, "tailor in quito"),
    shown("tune", TRAINING, "baker in cairo"),
    shown("calibrating", CALIBRATING, "diver in kyoto"),
    shown("sealed", TRAINING, " night NURSE in oslo"),
    shown("nearly sealed", TRAINING, "night nurse in oslo!"),
    shown("gate", TRAINING, "pilot in lima"),
    shown("held out", TRAINING, "tailor in quito", "held_out"),
]
GRADED = [
    {**shown("graded", TRAINING, "judge in lima"), "bm25": 1.0, "cosine": 0.5}
    | {"grade": 1, "probabilities": [0.0, 1.0], "rationale": ""},
]


# The log numbers this query otherwise than golden data does, by whose number it calibrates.
RENUMBERED = [
    *SHOWN,
    shown("calibrating elsewhere", TRAINING, "Miner in  Perth"),
]
ALSO_CALIBRATING = [
    *GRADED,
    {**GRADED[0], **shown("c", CALIBRATING, "miner in perth", "calibrate")},
]


def gathered(store: Path, *, log: bool, mix: MixSettings = NO_MIX) -> list[str]:
    step: Any = gather_transfer_set
    tables = {GOLDEN: GOLDEN_ROWS, JUDGMENTS: ALSO_CALIBRATING, IMPRESSIONS: RENUMBERED}

    def table(name: str) -> Any:
        return made(name.split(".")[0], lambda out: write_rows(out / name, tables[name]))

    with open_run(store, "toy"):
        golden, judgments, clicks = (table(name) for name in tables)
        domain = Domain(golden, golden, golden, None, None, None)
        found = step.fn(domain, judgments, None, clicks if log else None, ENCODER, mix)
        return [row["pair_id"] for row in read_rows(found.file(TRANSFER))]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    write_table(path, columns_of(rows))


def test_shown_queries_that_are_measured_or_calibrate_teach_no_student(tmp_path: Path) -> None:
    """Their clicks come with the log, and a teacher's grades of them would be learned by heart."""
    assert gathered(tmp_path, log=True) == ["graded", "any", "tune"]


def test_shown_queries_that_a_mix_is_chosen_on_teach_no_student(tmp_path: Path) -> None:
    mix = MixSettings(alphas=(0.3,), tune_share=1)
    assert gathered(tmp_path, log=True, mix=mix) == ["graded", "any"]


def test_without_a_log_graded_pairs_alone_teach(tmp_path: Path) -> None:
    assert gathered(tmp_path, log=False) == ["graded"]
