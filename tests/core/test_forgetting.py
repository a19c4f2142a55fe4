"""A forgotten member is in no artifact, nor in anything made from one that held them."""

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tasks.core.errors import CookbookError
from tasks.core.forgetting import forget_member
from tasks.core.labeling.journal import Journal, member_mark
from tasks.core.labeling.replies import Reply
from tasks.core.store.artifacts import Artifact, Counts, Workbench, artifact_store, materialize
from tasks.core.store.registry import Registry
from tasks.core.tables import write_table


def make(kind: str, *upstream: Artifact, members: list[str] | None = None) -> Artifact:
    def build(bench: Workbench) -> Counts:
        if members is not None:
            pairs = [f"pair-{name}" for name in members]
            write_table(bench.out / "rows.parquet", {"pair_id": pairs, "member_id": members})
        return {}

    return materialize(kind, build, settings={}, upstream=upstream)


SCORE = """
import sys
from pathlib import Path
from tasks.core.store.long_writes import long_write
with long_write(Path(sys.argv[1]), mode=0o600) as stream:
    stream.write('{"member_id": "m1"')
    stream.flush()
    print("writing", flush=True)
    input()
"""


@contextmanager
def scoring(folder: Path) -> "Iterator[subprocess.Popen[str]]":
    """A process that is writing scores, the member's among them."""
    script = [sys.executable, "-c", SCORE, str(folder / "scores.jsonl")]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        yield writer
        writer.kill()


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


def test_a_line_is_what_a_line_feed_ends_whatever_its_text_holds(tmp_path: Path) -> None:
    """A score's text may hold Unicode's own line ends, written as they are."""
    folder = tmp_path / "jobs" / "scoring"
    folder.mkdir(parents=True)
    mine, other = (
        json.dumps({"member_id": name, "text": "one\u2028two\u0085"}, ensure_ascii=False) + "\n"
        for name in ("m1", "m2")
    )
    (folder / "scores.jsonl").write_text(mine + other)
    assert forget_member(tmp_path, "jobs", "m1").scores == 1
    assert (folder / "scores.jsonl").read_text() == other


def test_scores_that_are_being_written_stop_it_and_those_of_the_dead_go(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "scoring"
    folder.mkdir(parents=True)
    with scoring(folder) as writer:
        (half,) = folder.glob(".scores.jsonl.*.tmp")
        with pytest.raises(CookbookError, match=f"process {writer.pid} writes"):
            forget_member(tmp_path, "jobs", "m1")
        assert half.exists()
        writer.kill()
    assert half.read_text() == '{"member_id": "m1"'
    forget_member(tmp_path, "jobs", "m1")
    assert not half.exists()


def test_half_scores_of_before_a_reboot_stop_nothing(tmp_path: Path) -> None:
    """Their process number is another process's by now; here it is this one's parent's."""
    folder = tmp_path / "jobs" / "scoring"
    folder.mkdir(parents=True)
    (folder / f".scores.jsonl.{os.getppid()}.tmp").write_text('{"member_id": "m1"')
    forget_member(tmp_path, "jobs", "m1")
    assert list(folder.iterdir()) == []


def left(store: Path) -> list[str]:
    """What is in the store, without empty folders: a kind's own stays."""
    files = (path for path in (store / "artifacts").rglob("*") if path.is_file())
    return sorted({path.relative_to(store / "artifacts").parts[0] for path in files})


@pytest.mark.parametrize("removed_before", range(4))
def test_after_a_kill_at_any_removal_the_same_command_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed_before: int
) -> None:
    """What was made from a holder that is gone would never be found again."""
    with artifact_store(tmp_path):
        policy = make("policy")
        held = make("impressions", policy, members=["m1", "m2"])
        pairs = make("pairs", held, members=["m1"])
        make("student", make("click_teacher", held), pairs)
    remove, done = shutil.rmtree, []

    def dies(folder: Path, **options: bool) -> None:
        if len(done) == removed_before:
            (folder / "manifest.json").unlink()
            raise KeyboardInterrupt
        done.append(folder)
        remove(folder, **options)

    with monkeypatch.context() as patch:
        patch.setattr("tasks.core.store.leftovers.shutil.rmtree", dies)
        with pytest.raises(KeyboardInterrupt):
            forget_member(tmp_path, "jobs", "m1")
    forget_member(tmp_path, "jobs", "m1")
    assert left(tmp_path) == ["policy"]


def test_what_was_half_built_goes_since_it_may_hold_the_member(tmp_path: Path) -> None:
    with artifact_store(tmp_path):
        make("policy")
    for folder in ("artifacts/impressions/ab.building", "jobs/registry/versions/.v0001.building"):
        (tmp_path / folder).mkdir(parents=True)
    rows = tmp_path / "artifacts" / "impressions" / "ab.building" / "rows.parquet"
    write_table(rows, {"member_id": ["m1"]})
    (tmp_path / "jobs" / "labels").mkdir()
    (tmp_path / "jobs" / "labels" / ".journal.jsonl.7.tmp").write_text("what m1 wrote")
    forget_member(tmp_path, "jobs", "m1")
    assert left(tmp_path) == ["policy"]
    assert list(tmp_path.rglob(".*.building")) == list(tmp_path.rglob("*.tmp")) == []


def test_what_was_made_from_something_lost_goes_too(tmp_path: Path) -> None:
    """Its source may have been cleaned away, or gone in a command that was killed."""
    with artifact_store(tmp_path):
        held = make("impressions", members=["m1"])
        make("student", make("click_teacher", held))
        make("policy")
    shutil.rmtree(held.path)
    assert forget_member(tmp_path, "jobs", "m1").artifacts == ["click_teacher", "student"]
    assert left(tmp_path) == ["policy"]


def test_another_domains_member_of_the_same_id_stays(tmp_path: Path) -> None:
    with artifact_store(tmp_path):
        policy = make("policy")
        mine = make("impressions", policy, members=["m1"])
        theirs = make("traffic", policy, members=["m1"])
        student = make("pruned_student", theirs)
        unknown = make("pairs", policy, members=["m1"])
    for domain, used in (("jobs", (policy, mine)), ("wards", (policy, theirs, student))):
        folder = tmp_path / domain / "finished" / "run"
        folder.mkdir(parents=True)
        lineage = [{"step": one.kind, "digest": one.digest} for one in used]
        (folder / "report.json").write_text(json.dumps({"lineage": lineage}))
    assert forget_member(tmp_path, "jobs", "m1").artifacts == ["impressions", "pairs"]
    assert not Path(unknown.path).exists()  # of a run that never finished, perhaps this domain's
    assert left(tmp_path) == ["policy", "pruned_student", "traffic"]


def test_answers_go_although_no_artifact_names_their_pairs_any_more(tmp_path: Path) -> None:
    journal = tmp_path / "jobs" / "labels" / "journal.jsonl"
    with Journal(journal) as noted:
        # The last two as earlier versions noted them; of "of-m1" the domain's files still tell.
        known = (("x", member_mark("m1")), ("y", member_mark("m2")), ("of-m1", ""), ("z", ""))
        for number, (pair, mark) in enumerate(known):
            key = f"{number:064x}"
            noted.intend(key, pair_id=pair, usd=0.0, run="", billed=True, member=mark)
            noted.answer(key, Reply(f"about {pair}", "m", None), usd=0.0, run="")
    found = forget_member(tmp_path, "jobs", "m1", pair_ids={"of-m1"})
    assert (found.answers, found.unmarked) == (2, 1)
    text = journal.read_text()
    assert ["about " + pair in text for pair, _ in known] == [False, True, False, True]


def test_nobody_is_not_forgotten(tmp_path: Path) -> None:
    """Rows of pairs without a member have an empty id: all of them would go."""
    with artifact_store(tmp_path):
        make("pairs", members=[""])
    with pytest.raises(CookbookError, match="Name the member"):
        forget_member(tmp_path, "jobs", "")
    assert left(tmp_path) == ["pairs"]


def test_a_line_in_another_encoding_is_foreign_and_stays(tmp_path: Path) -> None:
    """It ended every `forget` in a traceback, after the artifacts were gone."""
    folder = tmp_path / "jobs" / "scoring"
    folder.mkdir(parents=True)
    mine, foreign = b'{"member_id": "m1"}\n', '{"query": "café"}\n'.encode("latin-1")
    deep = b"[" * 100_000 + b"\n"
    (folder / "pairs.jsonl").write_bytes(mine + foreign + deep + mine.rstrip())
    assert forget_member(tmp_path, "jobs", "m1").scores == 2
    assert (folder / "pairs.jsonl").read_bytes() == foreign + deep


def test_a_file_of_scores_is_never_in_memory_whole(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "scoring"
    folder.mkdir(parents=True)
    other = b'{"member_id": "m2", "text": "%s"}\n' % (b"x" * 10_000)
    with (folder / "scores.jsonl").open("wb") as file:
        file.write(b'{"member_id": "m1"}\n')
        file.writelines([other] * 2_000)
    tracemalloc.start()
    try:
        assert forget_member(tmp_path, "jobs", "m1").scores == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (folder / "scores.jsonl").stat().st_size == 2_000 * len(other)
    assert peak < 5_000_000


@pytest.mark.parametrize("domain", ["jobs", "wards"])
def test_with_a_damaged_report_of_any_domain_what_may_hold_the_member_goes(
    tmp_path: Path, domain: str
) -> None:
    with artifact_store(tmp_path):
        policy, held = make("policy"), make("impressions", members=["m1"])
    folder = tmp_path / domain / "finished" / "run"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text('{"lineage": [{"dige')
    told: list[str] = []
    found = forget_member(tmp_path, "jobs", "m1", say=told.append)
    assert found.artifacts == ["impressions"]
    assert len(told) == 1 and "report.json cannot be read" in told[0]
    assert Path(policy.path).exists() and not Path(held.path).exists()


def test_an_artifact_and_a_version_that_cannot_be_read_count_as_holding_the_member(
    tmp_path: Path,
) -> None:
    with artifact_store(tmp_path):
        held = make("impressions", members=["m2"])
    (Path(held.path) / "rows.parquet").write_text("damaged")
    effects = tmp_path / "effects"
    effects.mkdir()
    (effects / "game.json").write_text("{")
    Registry(tmp_path / "jobs" / "registry").register({"effects": effects}, {})
    told: list[str] = []
    found = forget_member(tmp_path, "jobs", "m1", say=told.append)
    assert (found.artifacts, found.effects, len(told)) == (["impressions"], ["v0001"], 2)


def batch(store: Path, lines: str, status: str) -> Path:
    """A batch of one part, as the desk notes it."""
    folder = store / "jobs" / "labels" / "batches" / "ab"
    folder.mkdir(parents=True)
    (folder / "part.keys").write_text(lines)
    parts = [{"name": "part", "status": status, "batch_id": "b1"}]
    (folder / "batches.json").write_text(json.dumps({"parts": parts}))
    return folder


@pytest.mark.parametrize("lines", [f"k1 {member_mark('m2')}\nk2 {member_mark('m1')}", "k1\nk2"])
@pytest.mark.parametrize("status", ["planned", "in_progress", "completed"])
def test_a_batch_under_way_that_may_ask_about_the_member_stops_it_before_anything_goes(
    tmp_path: Path, lines: str, status: str
) -> None:
    """The next run would write the answers into the journal that the member was taken out of."""
    with artifact_store(tmp_path):
        held = make("impressions", members=["m1"])
    folder = batch(tmp_path, lines, status)
    with pytest.raises(CookbookError, match=r"when a run has merged its answers, or remove"):
        forget_member(tmp_path, "jobs", "m1")
    assert Path(held.path).exists()
    (folder / "batches.json").write_text("{")
    with pytest.raises(CookbookError, match=r"part\.keys"):
        forget_member(tmp_path, "jobs", "m1")


@pytest.mark.parametrize(
    ("mark", "status"), [(member_mark("m2"), "in_progress"), (member_mark("m1"), "merged")]
)
def test_a_batch_about_others_and_one_that_is_merged_stop_nothing(
    tmp_path: Path, mark: str, status: str
) -> None:
    with artifact_store(tmp_path):
        held = make("impressions", members=["m1"])
    folder = batch(tmp_path, f"k1 {mark}", status)
    forget_member(tmp_path, "jobs", "m1")
    assert not Path(held.path).exists()
    # A kill before the first note leaves keys that no batch has.
    (folder / "part.keys").write_text(f"k1 {member_mark('m1')}")
    (folder / "batches.json").unlink()
    with artifact_store(tmp_path):
        held = make("impressions", members=["m1"])
    forget_member(tmp_path, "jobs", "m1")
    assert not Path(held.path).exists()


def test_scores_that_began_meanwhile_are_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read the old pairs, and got their name after the file was looked at."""
    scores = tmp_path / "jobs" / "scoring" / "scores.jsonl"
    scores.parent.mkdir(parents=True)
    scores.write_text('{"member_id": "m1"}\n')
    versions = Registry.versions

    def after_a_scoring(self: Registry) -> list[str]:
        scores.write_text('{"member_id": "m1"}\n{"member_id": "m2"}\n')
        monkeypatch.setattr(Registry, "versions", versions)
        return versions(self)

    monkeypatch.setattr(Registry, "versions", after_a_scoring)
    assert forget_member(tmp_path, "jobs", "m1").scores == 2
    assert scores.read_text() == '{"member_id": "m2"}\n'


def test_scores_that_are_still_being_written_at_the_end_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jobs" / "scoring"
    folder.mkdir(parents=True)
    versions = Registry.versions
    with ExitStack() as stack:

        def while_one_scores(self: Registry) -> list[str]:
            monkeypatch.setattr(Registry, "versions", versions)
            stack.enter_context(scoring(folder))
            return versions(self)

        monkeypatch.setattr(Registry, "versions", while_one_scores)
        with pytest.raises(CookbookError, match="Give the command again when it has ended"):
            forget_member(tmp_path, "jobs", "m1")
