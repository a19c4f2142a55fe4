"""The endpoint that labeling is measured against: a rate, faults, and a storm of refusals."""

from dataclasses import dataclass

from tests.core.labeling.scripted_endpoint import Answer, Call, grade_answer

LATENCY_S = 0.2
STORM_S = 2.0


@dataclass
class HostileEndpoint:
    """Scripts faults by call number, holds to a rate, and counts what it let through."""

    requests_per_minute: float
    storm_after: int
    accepted: int = 0
    refused: int = 0
    _level: float = 0.0
    _last: float | None = None
    _storm_until: float | None = None
    first: float = 0.0
    last: float = 0.0

    def __call__(self, call: Call) -> Answer:
        self.first, self.last = self.first or call.at, call.at
        wait = self._storm(call) or self._over_rate(call)
        if wait:
            self.refused += 1
            return Answer(status=429, headers={"retry-after": f"{wait:.2f}"})
        self.accepted += 1
        fate = call.number * 7919 % 1000  # spread evenly, the same in each run
        if fate < 20:
            return Answer(status=500 + fate % 4, delay_s=LATENCY_S)
        if fate < 23:
            return Answer(then="hang", billed=False)
        if fate < 28:
            return Answer(then="drop", billed=False, delay_s=LATENCY_S)
        if fate < 33:
            return Answer(body=b"<html>bad gateway</html>", billed=False, delay_s=LATENCY_S)
        grade = int(call.pair["document"].split()[-1])
        return Answer(grade_answer(grade), delay_s=LATENCY_S)

    def _storm(self, call: Call) -> float:
        """Seconds to wait while everybody is refused; 0 outside the storm."""
        if self._storm_until is None and call.number >= self.storm_after:
            self._storm_until = call.at + STORM_S
        return max(0.0, (self._storm_until or 0.0) - call.at)

    def _over_rate(self, call: Call) -> float:
        """A leaky bucket of one second's burst; 0 if there is room, else seconds until there is."""
        per_second = self.requests_per_minute / 60
        passed = call.at - (self._last if self._last is not None else call.at)
        self._last = call.at
        self._level = max(0.0, self._level - passed * per_second)
        if self._level + 1 > per_second:
            return (self._level + 1 - per_second) / per_second
        self._level += 1
        return 0.0

    def rate_share(self) -> float:
        """Calls let through, of those allowed outside the storm: the rate, and one burst of 1 s."""
        open_s = self.last - self.first - STORM_S + 1.0
        return self.accepted / open_s / (self.requests_per_minute / 60)
