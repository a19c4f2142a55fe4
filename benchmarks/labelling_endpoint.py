"""The endpoint that labeling is measured against: two rates, faults, and a storm of refusals."""

from dataclasses import dataclass, field

from tests.core.labeling.scripted_endpoint import Answer, Call, grade_answer

LATENCY_S = 0.2
STORM_S = 2.0
TOKENS_PER_CALL = 1050  # what every answer reports as its usage


@dataclass
class Bucket:
    """A leaky bucket of one second's burst."""

    per_second: float
    level: float = 0.0
    at: float | None = None

    def wait(self, amount: float, now: float) -> float:
        """0 if there is room for the amount, else seconds until there is."""
        passed = now - (self.at if self.at is not None else now)
        self.at, self.level = now, max(0.0, self.level - passed * self.per_second)
        return max(0.0, (self.level + amount - self.per_second) / self.per_second)


@dataclass
class HostileEndpoint:
    """Scripts faults by call number, holds to two rates, and counts what it let through."""

    requests_per_minute: float
    tokens_per_minute: float
    storm_after: int
    accepted: int = 0
    refused: int = 0
    first: float = 0.0
    last: float = 0.0
    _storm_until: float | None = None
    _requests: Bucket = field(init=False)
    _tokens: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._requests = Bucket(self.requests_per_minute / 60)
        self._tokens = Bucket(self.tokens_per_minute / 60)

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
        """0 if both rates have room, which the call then takes; else seconds until both have."""
        amounts = ((self._requests, 1), (self._tokens, TOKENS_PER_CALL))
        wait = max(bucket.wait(amount, call.at) for bucket, amount in amounts)
        if not wait:
            for bucket, amount in amounts:
                bucket.level += amount
        return wait

    def rate_share(self) -> float:
        """Calls let through, of those allowed outside the storm: the rate, and one burst of 1 s."""
        open_s = self.last - self.first - STORM_S + 1.0
        allowed = min(self.requests_per_minute, self.tokens_per_minute / TOKENS_PER_CALL) / 60
        return self.accepted / open_s / allowed
