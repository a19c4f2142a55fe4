"""What `cookbook doctor` says of each thing that it looks at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state, what was seen, and what to do if it is not good."""

    state: State
    subject: str
    seen: str
    mend: str = ""
