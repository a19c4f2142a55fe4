"""The place to label in, for every test of this folder."""

from tests.labels.label_place import domain, place, server, world

__all__ = ["domain", "place", "server", "world"]
