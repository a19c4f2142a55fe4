"""How memory and time grow with the data: the smoke models on two domains, one twenty times larger.

    python -m benchmarks.load FOLDER

The large domain has 50,000 documents and 1,000,000 impressions, all of them read, filtered and
counted, those of the members that personalize scored and fitted, and 100,000 pairs are labeled. A
model's training reads 5,000 rows at most (250 in the small one): its memory depends on a
step's tokens. Both domains are made in FOLDER, by the simulator, unless they lie there. Each runs
in a process of its own; a stage's peak is that of the process's resident memory, mapped files
included, between its start and its end (Linux alone can tell). A share of 20 in time is linear
growth.
"""

import argparse
import csv
import gzip
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from flows.commands.options import RunOptions
from flows.commands.pipeline import run_flow
from flows.profiles import changed, profile
from tasks.run import listening
from tasks.settings import DistillationSettings, Settings, TeacherSettings

PROJECT = Path(__file__).resolve().parents[1]
AnyRole = TypeVar("AnyRole", TeacherSettings, DistillationSettings)
TIMES = 20
SCALE, PAIRS, IMPRESSIONS, TRAINED = 16.7, 100_000, 1_000_000, 5_000
SIZES = {"small": 1 / TIMES, "large": 1.0}


@dataclass
class Stages:
    """Listens to a run: seconds and peak memory (MiB) of each stage, in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)

    def __call__(self, event: str, what: str, amount: float) -> None:
        if event == "starts":
            forget_peak()
        elif event == "finished":
            self.seconds[what] = self.seconds.get(what, 0.0) + amount
            self.peak[what] = max(self.peak.get(what, 0.0), peak_mib())
            print(f"{what:<20} {amount:>8.1f} s {peak_mib():>8.0f} MiB", file=sys.stderr)


def peak_mib() -> float:
    """Most resident memory of this process since the last ``forget_peak``."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(one for one in status.splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Let the peak begin anew at what is resident now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def make_domain(root: Path, share: float) -> Path:
    """A simulated domain of a share of the large one's size, its log cut to whole lists."""
    if not (root / "golden_data").exists():
        command = [sys.executable, "-m", "flows.cli", "simulate"]
        places = ["--root", str(root), "--scale", str(SCALE * share)]
        subprocess.run([*command, *places], check=True, cwd=PROJECT)
        cut_log(
            root / "golden_data" / "job_search" / "impressions.csv.gz", round(IMPRESSIONS * share)
        )
    return root


def cut_log(path: Path, rows: int) -> None:
    """Keep the log's first rows, and the rest of the list in which the last of them stands."""
    shorter = path.with_name("shorter.csv.gz")
    with gzip.open(path, "rt", newline="") as source, gzip.open(shorter, "wt", newline="") as cut:
        reader, writer = csv.reader(source), csv.writer(cut)
        writer.writerow(next(reader))
        last = []
        for last in islice(reader, rows):
            writer.writerow(last)
        for row in reader:
            if row[0] != last[0]:
                break
            writer.writerow(row)
    shorter.replace(path)


def settings_for(share: float) -> Settings:
    """The smoke profile with every limit of rows lifted to the domain's size, on tiny encoders."""
    rows, trained, smoke = round(IMPRESSIONS * share), round(TRAINED * share), profile("smoke")
    limits = {f"{use}_rows": trained for use in ("training", "calibration", "evaluation")}
    limits |= {f"{use}_rows": rows for use in ("personalization", "later")}
    roles = ("policy_teacher", "click_teacher", "assistant", "student", "pruned_student")
    settings = changed(
        smoke,
        # With the usual eleven candidates a query they would be a seventh of the pairs.
        synthesis=changed(
            smoke.synthesis,
            max_pairs=round(PAIRS * share),
            lexical_candidates=36,
            dense_candidates=36,
            hard_negatives=16,
        ),
        impressions=changed(smoke.impressions, **limits),
        **{role: _sized(getattr(smoke, role), trained) for role in roles},
    )
    base = changed(settings.policy_teacher.base, source="random_encoder")
    teachers = {
        role: changed(getattr(settings, role), base=base)
        for role in ("policy_teacher", "click_teacher")
    }
    return changed(settings, **teachers)


def _sized(role: AnyRole, rows: int) -> AnyRole:
    return changed(
        role, training=changed(role.training, max_rows=rows, checkpoint_every_steps=1000)
    )


def run(root: Path, share: float, until: str | None) -> dict[str, Any]:
    """The pipeline on a domain; what it went through, seconds and peak memory by stage."""
    stages, begun = Stages(), time.monotonic()
    with tempfile.TemporaryDirectory(dir=root) as store, listening(stages):
        run_flow(
            RunOptions(root=root, store=Path(store)), until=until, settings=settings_for(share)
        )
        counts = counts_of(Path(store))
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "peak_mib": round(max(stages.peak.values())),
        "counts": counts,
        "stages": {name: [spent, stages.peak[name]] for name, spent in stages.seconds.items()},
    }


def counts_of(store: Path) -> dict[str, int]:
    """How many documents, impressions and labeled pairs went through."""
    found: dict[str, int] = {}
    for kind, count in (("catalog", "documents"), ("impression_log", "rows"), ("pairs", "pairs")):
        (path,) = store.glob(f"artifacts/{kind}/*/manifest.json")
        found[f"{kind} {count}"] = json.loads(path.read_text(encoding="utf-8"))["counts"][count]
    return found


def show(small: dict[str, Any], large: dict[str, Any]) -> None:
    """A line a stage: share of the time, times the small domain's, and both peaks."""
    print(f"{'stage':<20}{'of the time':>12}{'times':>8}{'MiB small':>11}{'MiB large':>11}")
    for name, (spent, peak) in large["stages"].items():
        before, low = small["stages"][name]
        print(
            f"{name:<20}{spent / large['seconds']:>12.1%}{spent / max(before, 0.1):>8.1f}"
            f"{low:>11.0f}{peak:>11.0f}"
        )
    times = large["seconds"] / small["seconds"]
    print(f"{'whole run':<32}{times:>8.1f}{small['peak_mib']:>11}{large['peak_mib']:>11}")


def main() -> None:
    """Print the table, then one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the domains lie, or are made")
    parser.add_argument("--only", choices=sorted(SIZES), help="one size, in this process")
    parser.add_argument("--until", help="end after this part: label, train, distill ...")
    chosen = parser.parse_args()
    if chosen.only:
        share = SIZES[chosen.only]
        print(json.dumps(run(make_domain(chosen.folder / chosen.only, share), share, chosen.until)))
        return
    found = {size: _apart(chosen.folder, size, chosen.until) for size in ("small", "large")}
    show(**found)
    print(json.dumps(found))


def _apart(folder: Path, size: str, until: str | None) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load", str(folder), "--only", size]
    command += ["--until", until] if until else []
    done = subprocess.run(command, check=True, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
