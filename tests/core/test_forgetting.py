"""A forgotten member is in no artifact, nor in anything made from one that held them."""

from pathlib import Path

from tasks.core.forgetting import forget_member
from tasks.core.store.artifacts import Artifact, Counts, Workbench, artifact_store, materialize
from tasks.core.tables import write_table


def make(kind: str, *upstream: Artifact, members: list[str] | None = None) -> Artifact:
    def build(bench: Workbench) -> Counts:
        if members is not None:
            pairs = [f"pair-{name}" for name in members]
            write_table(bench.out / "rows.parquet", {"pair_id": pairs, "member_id": members})
        return {}

    return materialize(kind, build, settings={}, upstream=upstream)


def test_what_held_the_member_and_all_made_from_it_is_removed(tmp_path: Path) -> None:
    with artifact_store(tmp_path):
        policy = make("policy")
        held = make("impressions", policy, members=["m1", "m2"])
        others = make("pairs", policy, members=["m2"])
        scorer = make("click_teacher", held)
        student = make("student", scorer, others)
        untouched = make("policy_teacher", others)
    found = forget_member(tmp_path, "jobs", "m1")
    assert found.artifacts == ["click_teacher", "impressions", "student"]
    gone = [Path(artifact.path).exists() for artifact in (held, scorer, student)]
    kept = [Path(artifact.path).exists() for artifact in (policy, others, untouched)]
    assert (gone, kept) == ([False] * 3, [True] * 3)


def test_an_unknown_member_removes_nothing(tmp_path: Path) -> None:
    with artifact_store(tmp_path):
        held = make("impressions", members=["m1"])
    found = forget_member(tmp_path, "jobs", "m9")
    assert (found.artifacts, found.answers, found.scores, found.effects) == ([], 0, 0, [])
    assert Path(held.path).exists()


def test_the_members_scores_go_and_those_of_others_stay_byte_by_byte(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "scoring"
    folder.mkdir(parents=True)
    mine, others = '{"member_id": "m1", "value": 0.5}\n', '{"member_id": "m10"}\n{broken\n[1]\n'
    (folder / "scores.jsonl").write_text(mine + others + mine)
    (folder / "pairs.jsonl").write_text(others)
    assert forget_member(tmp_path, "jobs", "m1").scores == 2
    assert (folder / "scores.jsonl").read_text() == others
    assert (folder / "scores.jsonl").stat().st_mode & 0o777 == 0o600
    assert (folder / "pairs.jsonl").read_text() == others
