"""What every test shares: fuzzing that gives the same verdict each time it is run.

A fresh draw is asked for: ``pytest --hypothesis-profile=fuzz`` (many more examples than usual).
"""

from hypothesis import settings

settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("fuzz", max_examples=1000, deadline=None)
settings.load_profile("same")
