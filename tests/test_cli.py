"""The command line: what a user sees of their own mistakes, and how fast help comes."""

import csv
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prefect.exceptions import TerminationSignal

from flows.cli import app, main
from flows.cli_reference import reference
from flows.doctor import _registries
from tasks.core.labeling.journal import render_line
from tasks.core.store.registry import Registry
from tests.core.training.tiny import lively_scorer


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail as a user's mistake; returns its one line."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.startswith("cookbook: ")
    assert error.count("\n") == 1
    return error


def test_help_comes_without_loading_torch_or_prefect() -> None:
    script = (
        "import sys, time\nfrom flows.cli import main\ntry:\n    main(['--help'])\nfinally:\n"
        "    print(sorted({'torch', 'prefect', 'transformers', 'numpy'} & set(sys.modules)))\n"
        "    print(time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    *_, loaded, seconds = done.stdout.splitlines()
    assert loaded == "[]"
    assert "Run the whole pipeline" in done.stdout
    # Of the processor's, so that other work beside it does not count: a fifth of a second is usual.
    assert float(seconds) < 2.0


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in app:
        if not name.startswith("-"):
            main([name, "--help"])
            assert len(capsys.readouterr().out.splitlines()) > 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--profile", "desktop"], "A profile is one of"),
        (["--domain", "absent"], "none named 'absent'"),
        (["--domain", "../etc"], "small letters"),
        (["--root", "/nowhere"], "none named 'job_search'"),
    ],
)
def test_a_run_that_cannot_start_says_why_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], expected: str
) -> None:
    assert expected in fails(capsys, "run", *arguments, "--store", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("arguments", [["bake"], ["run", "--profil", "smoke"], ["score"]])
def test_an_unknown_command_or_option_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert "--help" in fails(capsys, *arguments)


def test_an_interrupted_command_has_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(self: Registry) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Registry, "versions", interrupt)
    with pytest.raises(SystemExit) as exit_info:
        main(["models", "list", "--store", str(tmp_path)])
    assert exit_info.value.code == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_terminated_command_has_exit_code_143(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def terminate(self: Registry) -> list[str]:
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    monkeypatch.setattr(Registry, "versions", terminate)
    with pytest.raises(SystemExit) as exit_info:
        main(["models", "list", "--store", str(tmp_path)])
    assert exit_info.value.code == 143
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize("prefects", [False, True], ids=["ours", "prefects"])
def test_a_stop_that_became_another_error_on_its_way_is_still_a_stop(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    prefects: bool,
) -> None:
    """As Prefect's engine does where a signal reaches it while it opens a task."""

    def terminate(self: Registry) -> list[str]:
        try:
            if prefects:  # what its own handler raises while a flow runs
                raise TerminationSignal(signal=signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise ValueError("Task run is not set")  # noqa: B904
        return []

    monkeypatch.setattr(Registry, "versions", terminate)
    with pytest.raises(SystemExit) as exit_info:
        main(["models", "list", "--store", str(tmp_path)])
    assert exit_info.value.code == 143
    assert capsys.readouterr().err.count("\n") == 1


class WithoutDatabase(httpx.HTTPStatusError):
    """As Prefect's client raises for a server that answers 500."""

    def __init__(self) -> None:
        request = httpx.Request("GET", "http://127.0.0.1:9/api")
        super().__init__("Server error '500'", request=request, response=httpx.Response(500))


@pytest.mark.parametrize("lost", [httpx.ConnectError("refused"), WithoutDatabase()])
def test_a_server_that_goes_away_is_one_line(
    lost: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def lose(self: Registry) -> list[str]:
        raise lost

    monkeypatch.setattr(Registry, "versions", lose)
    monkeypatch.setattr(os, "_exit", sys.exit)  # the real one would end the tests as well
    assert "Prefect's server" in fails(capsys, "models", "list", "--store", tmp_path)


def test_a_server_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    error = fails(capsys, "run", "--profile", "smoke", "--store", tmp_path)
    assert "http://127.0.0.1:9/api" in error
    assert "unset PREFECT_API_URL" in error


POLICY = Path(__file__).parents[1] / "policy" / "job_search" / "policy.md"


def test_lint_finds_nothing_in_the_shipped_policy(capsys: pytest.CaptureFixture[str]) -> None:
    main(["policy", "lint", str(POLICY)])
    assert "nothing to mend" in capsys.readouterr().out


def test_diff_names_the_clause_that_changed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = POLICY.read_text(encoding="utf-8")
    clause = text.index("### TITLE-2")
    line_end = text.index("\n", clause)
    edited = tmp_path / "policy.md"
    edited.write_text(f"{text[:line_end]}\n\nOne more sentence.{text[line_end:]}")
    main(["policy", "diff", str(POLICY), str(edited)])
    assert capsys.readouterr().out.splitlines() == ["changed clause TITLE-2"]
    main(["policy", "diff", str(POLICY), str(POLICY)])
    assert "Nothing" in capsys.readouterr().out


def test_a_malformed_policy_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "policy.md"
    path.write_text("no front matter")
    assert str(path) in fails(capsys, "policy", "lint", path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    registry = Registry(tmp_path / "runs" / "job_search" / "registry")
    for name in ("one", "two", "three"):
        weights = tmp_path / name
        weights.write_text(name)
        registry.register({"scorer/model.safetensors": weights}, {"name": name})
    registry.promote("v0001", reason="first", by="run")
    registry.offer("v0003", reason="passes every gate", by="run")
    registry.promote("v0002", reason="better", by="run")
    return tmp_path / "runs"


def test_models_are_listed_with_what_was_decided(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    main(["models", "list", "--store", str(store)])
    lines = capsys.readouterr().out.splitlines()
    states = {
        version: line
        for line in lines
        for version in ("v0001", "v0002", "v0003")
        if version in line
    }
    assert "served before" in states["v0001"]
    assert "in service" in states["v0002"]
    assert "waits" in states["v0003"]


def test_a_damaged_version_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    versions = store / "job_search" / "registry" / "versions"
    (versions / "v0002" / "scorer" / "model.safetensors").write_text("altered")
    main(["models", "list", "--store", str(store)])
    told = " ".join(capsys.readouterr().out.split())
    assert "v0002" in told
    assert "damaged" in told
    assert "v0003" in told


def test_the_doctor_tells_of_a_pointer_that_is_lost(store: Path) -> None:
    (store / "job_search" / "registry" / "current.json").unlink()
    told = [one for one in _registries(store) if one.state == "bad"]
    assert [one.subject for one in told] == ["models of job_search"]
    assert "current.json" in told[0].seen


def test_a_version_of_which_the_log_says_nothing_is_not_called_refused(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    log = next((store / "job_search" / "registry").glob("*.jsonl"))
    lines = [line for line in log.read_text().splitlines(True) if "v0003" not in line]
    log.write_text("".join(lines))
    main(["models", "list", "--store", str(store)])
    (line,) = (one for one in capsys.readouterr().out.splitlines() if "v0003" in one)
    assert "registered" in line
    assert "refused" not in line


def test_a_candidate_that_no_gate_has_judged_is_told_from_one_that_waits(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    weights = store / "four"
    weights.write_text("four")
    Registry(store / "job_search" / "registry").register({"scorer/w": weights}, {})
    main(["models", "list", "--store", str(store)])
    told = capsys.readouterr().out
    (line,) = (one for one in told.splitlines() if "v0004" in one)
    assert "registered" in line
    assert "running again" in " ".join(told.split())


def test_a_list_says_who_took_a_version_out_and_why(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    main(["models", "rollback", "--reason", "complaints", "--store", str(store)])
    capsys.readouterr()
    main(["models", "list", "--store", str(store)])
    (line,) = (one for one in capsys.readouterr().out.splitlines() if "v0002" in one)
    assert "taken out" in line
    assert "complaints" in line


def test_a_list_of_no_models_names_where_it_looked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["models", "list", "--store", str(tmp_path / "runz")])
    assert str(tmp_path / "runz" / "job_search") in capsys.readouterr().out


def test_a_model_is_shown_as_json(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    main(["models", "show", "v0002", "--store", str(store)])
    shown = json.loads(capsys.readouterr().out)
    assert shown["card"] == {"name": "two"}
    assert shown["state"] == "in service"
    assert [event["event"] for event in shown["events"]] == ["registered", "promoted"]


def test_rolling_back_and_promoting_move_the_pointer(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    main(["models", "rollback", "--reason", "members complain", "--store", str(store)])
    assert "v0001 is in service again" in capsys.readouterr().out
    main(["models", "promote", "v0003", "--reason", "by hand", "--store", str(store)])
    served = Registry(store / "job_search" / "registry").current()
    assert served is not None
    assert served.version == "v0003"
    unknown = fails(capsys, "models", "promote", "v0009", "--reason", "x", "--store", store)
    assert "v0001, v0002, v0003; came 'v0009'" in unknown
    assert "Give it a reason" in fails(
        capsys, "models", "promote", "v0001", "--reason", " ", "--store", store
    )
    main(["models", "promote", "v0003", "--reason", "again", "--store", str(store)])
    assert "already" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        "models promote v0001 --reason better",
        "models rollback --reason complaints",
        f"policy affected {POLICY}",
    ],
)
def test_a_mistyped_store_is_refused_and_not_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    said = fails(capsys, *command.split(), "--store", tmp_path / "rnus")
    assert "Name the right --store" in said
    assert not (tmp_path / "rnus").exists()


def test_an_export_is_whole_and_never_overwrites(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    target = tmp_path / "exported"
    main(["models", "export", "v0002", str(target), "--store", str(store)])
    assert (target / "scorer" / "model.safetensors").read_text() == "two"
    assert "exists" in fails(capsys, "models", "export", "v0001", target, "--store", store)
    assert (target / "scorer" / "model.safetensors").read_text() == "two"


@pytest.mark.parametrize("target", [".", "/"])
def test_an_export_into_a_folder_without_a_name_is_one_line(
    capsys: pytest.CaptureFixture[str], store: Path, target: str
) -> None:
    assert "exists" in fails(capsys, "models", "export", "v0001", target, "--store", store)


def test_a_rollback_that_mends_the_pointer_names_no_version_that_is_out(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    (store / "job_search" / "registry" / "current.json").write_text("{")
    main(["models", "rollback", "--reason", "damaged", "--store", str(store)])
    assert capsys.readouterr().out == "v0002 is in service again.\n"


def test_a_user_without_a_name_decides_by_number(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that is started under a number."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    main(["models", "promote", "v0001", "--reason", "checked", "--store", str(store)])
    assert Registry(store / "job_search" / "registry").log()[-1]["by"] == f"user {os.getuid()}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "--budget-usd", "nan"], "0 dollars or more"),
        (["clean", "--days", "1", "--journal-days", "100000000"], "came 100000000."),
        (["golden", "sample", "sheet.csv", "--seed", "-1"], "--seed -1."),
        (["golden", "sample", "sheet.csv", "--count", "0"], "--count 0,"),
        (["golden", "sample", "sheet.csv", "--close-share", "7"], "--close-share 7 "),
    ],
)
def test_a_number_out_of_bounds_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in fails(capsys, *arguments)


@pytest.mark.parametrize("port", ["0", "70000", "-1"])
def test_a_port_that_is_none_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, port: str
) -> None:
    assert f"came {port}." in fails(capsys, "serve", f"--port={port}", "--store", tmp_path)


def test_an_export_keeps_what_people_did_to_its_owner(store: Path, tmp_path: Path) -> None:
    effects = tmp_path / "effects" / "per_member"
    effects.mkdir(parents=True)
    (effects / "members.json").write_text("{}")
    scorer = tmp_path / "one"
    files = {"scorer/model.safetensors": scorer, "effects": effects.parent}
    version = Registry(store / "job_search" / "registry").register(files, {"name": "personal"})
    target = tmp_path / "exported"
    main(["models", "export", version, str(target), "--store", str(store)])
    modes = {
        path.relative_to(target).as_posix(): path.stat().st_mode & 0o777
        for path in target.rglob("*")
    }
    assert modes["scorer/model.safetensors"] == scorer.stat().st_mode & 0o777
    own = {name: mode for name, mode in modes.items() if not name.startswith("scorer")}
    assert own == {
        "effects": 0o700,
        "effects/per_member": 0o700,
        "effects/per_member/members.json": 0o600,
        "manifest.json": 0o600,
    }
    assert list(tmp_path.glob(".*")) == []


def test_an_onnx_export_holds_its_logits_to_torchs_and_times_both(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lively_scorer("random_encoder").save(tmp_path / "scorer")
    store, target = tmp_path / "runs", tmp_path / "exported"
    files = {f"scorer/{path.name}": path for path in (tmp_path / "scorer").iterdir()}
    Registry(store / "job_search" / "registry").register(files, {})
    main(["models", "export", "v0001", str(target), "--format", "onnx", "--store", str(store)])
    assert (target / "scorer" / "model.onnx").stat().st_size > 10_000
    assert (target / "scorer" / "cookbook.json").is_file()
    said = capsys.readouterr().out
    assert "of torch's" in said
    assert "onnxruntime: " in said


def test_scoring_needs_a_model_in_service(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["score", "--input", tmp_path / "in", "--output", tmp_path / "out"]
    assert "model in service" in fails(capsys, *arguments, "--store", tmp_path / "runs")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [["forget", "m1"], ["forget", "m1", "--domain", "jobs"], ["clean", "--days", "3"]]
)
def test_a_mistyped_store_is_not_taken_for_an_empty_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]
) -> None:
    """A member who is asked to be forgotten in the wrong store is not forgotten."""
    assert "is none" in fails(capsys, *arguments, "--store", tmp_path / "runz")
    assert not (tmp_path / "runz").exists()


def test_clean_drops_answers_only_when_it_is_asked_to(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    (store / "artifacts").mkdir()
    (store / ".reproduce-killed").mkdir()
    journal = store / "job_search" / "labels" / "journal.jsonl"
    old = {"type": "result", "key": "00", "usd": 1.0, "run": "r", "reply": {}, "day": "2020-01-01"}
    journal.parent.mkdir()
    journal.write_bytes(render_line(old))
    main(["clean", "--days", "3", "--store", str(store)])
    assert journal.read_bytes() == render_line(old)
    assert f"removed {store / '.reproduce-killed'}" in capsys.readouterr().out
    main(["clean", "--days", "3", "--journal-days", "3", "--store", str(store)])
    assert f"1 answers removed from {journal}" in capsys.readouterr().out
    assert "1 to 36,500" in fails(capsys, "clean", "--days", "3", "--journal-days", "0")


def test_forgetting_names_the_own_files_that_hold_the_member_before_it_removes_anything(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    golden, store = tmp_path / "golden_data" / "jobs", tmp_path / "runs"
    for folder in (golden, store / "artifacts", store / "jobs"):
        folder.mkdir(parents=True)
    (golden / "members.jsonl").write_text('{"member_id": "m1"}\n')
    places = ["--domain", "jobs", "--root", str(tmp_path), "--store", str(store)]
    main(["forget", "m1", *places])
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert str(golden / "members.jsonl") in first
    assert second == "Remove those rows: the next run reads the member from them again."
    main(["forget", "m2", *places])
    assert "do not hold the member" in capsys.readouterr().out.splitlines()[0]
    main(["forget", "m1", *places[:2], "--root", str(store), *places[4:]])
    assert "not looked at: there is no" in capsys.readouterr().out.splitlines()[0]


def test_forgetting_never_advises_to_remove_the_version_in_service(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    (store / "artifacts").mkdir()
    main(["forget", "m1", "--store", str(store)])
    told = capsys.readouterr().out
    assert "not in service; now that is v0001, v0003." in told
    assert "v0002 is in service: leave its folder where it is" in told
    assert "`cookbook score --output` wrote, exported models" in told


@pytest.mark.parametrize("name", ["golden.csv", "documents.jsonl.gz", "members.jsonl.gz"])
def test_a_simulation_never_writes_over_data_of_people(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    """Grades may not be there yet: people grade pairs of the documents that they brought."""
    brought = tmp_path / "golden_data" / "job_search" / name
    brought.parent.mkdir(parents=True)
    brought.write_text("people's")
    assert "not written over" in fails(capsys, "simulate", "--root", tmp_path)
    assert brought.read_text() == "people's"


def test_a_simulation_goes_by_the_policy_that_stands_in_its_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its truth was the shipped policy's, and a judge held to it was wrong by the root's own."""
    own = tmp_path / "policy" / "job_search" / "policy.md"
    own.parent.mkdir(parents=True)
    text = POLICY.read_text(encoding="utf-8")
    own.write_text(re.sub(r"\| grade \d \|", "| grade 1 |", text), encoding="utf-8")
    main(["simulate", "--root", str(tmp_path), "--scale", "0.02"])
    assert "| grade 1 |" in own.read_text(encoding="utf-8")
    with gzip.open(
        tmp_path / "golden_data" / "job_search" / "truth" / "grades.csv.gz", "rt"
    ) as file:
        assert max(int(row["grade"]) for row in csv.DictReader(file)) == 1
    own.write_text(text.replace("policy: job_search", "policy: another"), encoding="utf-8")
    assert "must be the policy of job_search" in fails(capsys, "simulate", "--root", tmp_path)


def test_a_simulation_that_cannot_begin_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file" in fails(capsys, "simulate", "--root", tmp_path / "file")
    assert "0 or more" in fails(capsys, "simulate", "--root", tmp_path, "--seed", "-1")


@pytest.mark.parametrize("arguments", [["drift"], ["explain", "ab", "--scores"]])
def test_a_file_of_scores_that_is_not_there_is_one_line(
    capsys: pytest.CaptureFixture[str], store: Path, arguments: list[str]
) -> None:
    assert "there is no" in fails(capsys, *arguments, store / "absent.jsonl", "--store", store)


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    page = POLICY.parents[2] / "docs" / "cli.md"
    assert page.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_a_plan_that_the_disk_cannot_hold_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    full = type(shutil.disk_usage("/"))(2**40, 2**40, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert "0 MiB are free. Make room" in fails(capsys, "plan", "--store", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
