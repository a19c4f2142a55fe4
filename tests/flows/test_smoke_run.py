"""The whole pipeline on the smoke profile, through the command line, as a user runs it."""

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from flows.profiles import smoke
from tasks.allowed_queries import CHOICE, with_choice
from tasks.core.report.schema import validate_report
from tasks.core.tables import read_rows
from tests.flows.smoke import (
    COOKBOOK,
    PROJECT,
    half_files,
    report_of,
    smoke_run,
    started_run,
)

pytestmark = pytest.mark.slow
PATIENCE_S = 240  # for an end that takes seconds where no other process wants the machine


def test_a_run_ends_with_a_verdict_a_table_and_the_place_of_its_report(store: Path) -> None:
    shown = (store / "first_output.txt").read_text()
    assert "NDCG@10" in shown
    assert "Pruned student" in shown
    assert f"Report: {store}/job_search/latest/report.html" in shown
    assert (store / "job_search" / "latest" / "report.html").stat().st_size > 10_000


def test_its_report_keeps_the_contract_and_shows_every_stage(store: Path) -> None:
    report = report_of(store)
    validate_report(report)
    assert [tier["role"] for tier in report["tiers"]] == [
        "policy_teacher",
        "click_teacher",
        "assistant",
        "student",
        "pruned_student",
    ]
    assert report["served_role"] == "pruned_student"
    assert {"policy_only", "click_only", "click_other_start"} <= report["baselines"].keys()
    assert report["click_words"]["clicked"]["more"]
    assert report["propensity_method"] == "random_order_and_harvesting"
    assert report["propensities"]["1"]["value"] == 1.0
    assert report["labels"]["people_grades"] > 0
    assert report["labels"]["labelled"] > 0
    assert report["labels"]["billed_calls"] == 0
    promotion = report["promotion"]
    assert (promotion["decision"], promotion["version"]) == ("promoted", "v0001")
    assert promotion["changed"]


def test_speed_is_told_of_the_models_that_a_user_chooses_between(store: Path) -> None:
    """Those of one goal are there to be compared with: they are not asked a hundred times each."""
    timed = {path.parent.parent.name for path in store.glob("artifacts/*/*/speed.measured.json")}
    tiers = {f"evaluated_{tier['role']}" for tier in report_of(store)["tiers"]}
    assert timed == tiers
    assert all(tier["latency_ms"]["p99"] > 0 for tier in report_of(store)["tiers"])
    assert list(store.glob("artifacts/evaluated_policy_only/*/logits.parquet"))


def test_every_tier_is_held_against_the_judges_own_biases(store: Path) -> None:
    """Each that was taught grades: all but the click teacher."""
    report = report_of(store)
    biases = report["biases"]
    assert {one["verdict"] for one in biases["judge"].values()} == {"reference"}
    kappas = {tier["role"]: tier["golden"]["kappa"] for tier in report["tiers"]}
    graders = {role for role, kappa in kappas.items() if kappa is not None}
    assert {"policy_teacher", "assistant"} <= graders
    assert kappas.keys() & biases.keys() == graders
    (table,) = store.glob("artifacts/judged_edits/*/judge_shifts.parquet")
    shifts = read_rows(table)
    for bias, one in biases["judge"].items():
        assert one["n"] == len(shifts) == 8
        assert one["value"] == pytest.approx(sum(row[bias] for row in shifts) / 8)
    others = [one for role, tier in biases.items() if role != "judge" for one in tier.values()]
    assert {one["verdict"] for one in others} <= {"keeps", "shrinks", "grows"}


def test_a_mix_is_chosen_on_queries_that_taught_nothing(store: Path) -> None:
    (golden,) = store.glob("artifacts/golden/*/golden.parquet")
    taught = {
        row["query_id"]
        for name in ("people_grades/*/people_grades", "pairs/*/pairs", "transfer_set/*/transfer")
        for path in store.glob(f"artifacts/{name}.parquet")
        for row in read_rows(path, ["query_id"])
    }
    rows = with_choice(read_rows(golden), smoke().mix, has_log=True)
    kept = {row["query_id"] for row in rows if row["split"] == CHOICE and row["grade"] > 0}
    assert kept
    assert taught & {row["query_id"] for row in rows if row["split"] == "tune"}
    assert not taught & kept
    measured = {one["ndcg_at_10"]["n"] for one in report_of(store)["mix"]["students"]}
    assert measured == {len(kept)}


def test_the_verdict_holds_a_student_of_two_goals_to_those_of_one(store: Path) -> None:
    (card,) = store.glob("artifacts/calibrated_student/*/scorer/cookbook.json")
    taught = json.loads(card.read_text())["taught"]
    reasons = report_of(store)["promotion"]["reasons"]
    told = [one for one in reasons if one.startswith("Against the student of ")]
    others = ["the policy teacher only", "clicks only"] if len(taught) == 2 else []
    assert len(told) == len(others)
    for reason, other in zip(told, others, strict=True):
        assert reason.startswith(f"Against the student of {other} NDCG@10 changes by")


def test_the_gate_counts_clicks_of_members_nobody_learned_from(store: Path) -> None:
    (log,) = store.glob("artifacts/impressions/*/impressions.parquet")
    (gate,) = store.glob("artifacts/gate/*/gate.json")
    rows = read_rows(log)
    shown = [row for row in rows if row["use"] == "calibrate"]
    learned = {row["member_id"] for row in rows if row["use"] in ("train", "personalize")}
    assert not learned & {row["member_id"] for row in shown}
    logits = [row["score"] for row in read_rows(gate.parent / "clicks.parquet")]
    marked = list(zip((row["clicked"] for row in shown), logits, strict=True))
    won = [
        (one > other) + (one == other) / 2
        for clicked, one in marked
        for passed, other in marked
        if clicked and not passed
    ]
    auc = json.loads(gate.read_text())["click_auc"]
    assert auc == pytest.approx(sum(won) / len(won), abs=1e-9)


def test_a_second_run_reuses_every_stage_and_asks_the_judge_nothing(
    root: Path, store: Path
) -> None:
    reasons = report_of(store)["promotion"]["reasons"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = smoke_run(root, store)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-3000:]
    stages = [line for line in done.stdout.splitlines() if line.startswith(("+ ", "= "))]
    assert len(stages) > 20
    assert [line for line in stages if not line.startswith("= ")] == []
    promotion = report_of(store)["promotion"]
    assert not promotion["changed"]
    assert " ".join(reasons) in promotion["reasons"][1]  # a kill may have left no other report
    labels = report_of(store)["labels"]
    assert (labels["calls"], labels["spent_usd"]) == (0, 0)
    assert labels["reused"] == labels["labelled"]
    # The promise is 30 s on two free cores. Tests share them with whatever else is at work, so
    # what the run and its server compute is held to it, not how long they wait for their turn.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 60


def test_the_promoted_model_scores_pairs_from_a_file(
    root: Path, store: Path, tmp_path: Path
) -> None:
    pairs = [
        {"query_id": "1", "query": "nurse", "doc_id": "j00001", "member_id": "m00001"},
        {"query_id": "1", "query": "nurse", "doc_id": "j00002"},
        {"query_id": "1", "query": "nurse", "title": "Nurse", "text": "Night shifts.", "mine": 7},
    ]
    source, target = tmp_path / "pairs.jsonl", tmp_path / "scores.jsonl"
    source.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    command = [*COOKBOOK, "score", "--input", str(source), "--output", str(target)]
    command += ["--root", str(root), "--store", str(store)]
    subprocess.run(command, check=True, cwd=PROJECT, capture_output=True)
    scored = [json.loads(line) for line in target.read_text().splitlines()]
    for pair, row in zip(pairs, scored, strict=True):
        assert pair.items() <= row.items()
        assert sum(row["grade_probabilities"]) == pytest.approx(1)
        assert row["single_grade"] in range(5)
        assert 0 <= row["relevance"] <= 1
        assert set(row["personalized_probabilities"]) == {"clicked"}
        assert row["model_version"] == "v0001"
    source.write_text(source.read_text() + '{"query_id": "2"\n')
    target.unlink()
    broken = subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True)
    assert broken.returncode == 2
    assert "line 4" in broken.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_a_second_run_on_a_held_store_is_told_who_holds_it(root: Path, store: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from tasks.core.store.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(600)\n"
    )
    holder = subprocess.Popen(
        [COOKBOOK[0], "-c", hold, str(store)], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        done = smoke_run(root, store)
    finally:
        holder.kill()
        holder.communicate()
    assert done.returncode == 2
    assert f"process {holder.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_run_leaves_no_process_behind(root: Path, store: Path) -> None:
    run = started_run(root, store)
    children: list[psutil.Process] = []
    while not children and run.poll() is None:
        children = psutil.Process(run.pid).children(recursive=True)
        time.sleep(0.05)
    assert children, "the run started no server of its own"
    with run:  # its pipes are closed, or a later test is blamed for them
        os.kill(run.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert not alive
    assert gone


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_its_code_one_line_and_no_process_left(
    root: Path, store: Path, sent: signal.Signals, code: int
) -> None:
    run = started_run(root, store)
    assert run.stdout is not None
    run.stdout.readline()
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(sent)
    with run:  # its pipes are closed, whatever happens
        _, error = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == code, error[-3000:]
    assert error == "cookbook: stopped; run the same command again to go on.\n"
    assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]
    assert half_files(store) == []
