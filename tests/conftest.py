"""What every test shares: fuzzing that gives the same verdict each time it is run.

A fresh draw is asked for: ``pytest --hypothesis-profile=fuzz`` (many more examples than usual).
"""

from hypothesis import HealthCheck, settings

# How long an example takes tells of the machine's other work, and a folder that the examples of
# one test share is written anew by each.
_calm = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("same", _calm, derandomize=True, database=None)
settings.register_profile("fuzz", _calm, max_examples=1000)
settings.load_profile("same")
