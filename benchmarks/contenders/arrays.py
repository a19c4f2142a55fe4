"""Arrays that contenders hand each other, as safetensors: nothing that unpickles reads a file."""

from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors.numpy import load_file, save_file


def save_array(work: Path, name: str, array: npt.NDArray[Any]) -> None:
    save_file({name: array}, work / f"{name}.safetensors")


def load_array(work: Path, name: str) -> npt.NDArray[Any]:
    return load_file(work / f"{name}.safetensors")[name]
