"""What the machine's owner says of processes is read exactly, and refused where it says nothing."""

import pytest

from flows.needs import check_processes
from flows.profiles import laptop
from tasks.core.errors import CookbookError
from tasks.exchange import optimization
from tasks.machine import PROCESSES, SPLIT, processes, splits_weights


@pytest.mark.parametrize(("said", "found"), [({}, 1), ({PROCESSES: ""}, 1), ({PROCESSES: "8"}, 8)])
def test_processes_are_one_where_nothing_is_said(said: dict[str, str], found: int) -> None:
    assert processes(said) == found
    assert not splits_weights(said)


@pytest.mark.parametrize("said", ["0", "-1", "two", "1.5", "²"])
def test_what_is_no_number_of_processes_is_refused(said: str) -> None:
    with pytest.raises(CookbookError, match=f"1 or more; came '{said}'"):
        processes({PROCESSES: said})


def test_a_model_is_split_over_several_alone() -> None:
    assert splits_weights({PROCESSES: "2", SPLIT: "1"})
    assert not splits_weights({PROCESSES: "2", SPLIT: "0"})
    with pytest.raises(CookbookError, match="Set that to the number of GPUs"):
        splits_weights({SPLIT: "1"})
    with pytest.raises(CookbookError, match="is 0 or 1; came 'yes'"):
        splits_weights({PROCESSES: "2", SPLIT: "yes"})


def test_every_training_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    training = laptop().student.training
    alone = optimization(training)
    assert (alone.processes, alone.split_weights) == (1, False)
    monkeypatch.setenv(PROCESSES, "2")
    monkeypatch.setenv(SPLIT, "1")
    shared = optimization(training)
    assert (shared.processes, shared.split_weights) == (2, True)


def test_too_few_gpus_are_told_before_labels_are_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    check_processes()
    monkeypatch.setenv(PROCESSES, "2")
    with pytest.raises(CookbookError, match="came 2 processes for 1"):
        check_processes()
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_processes()
