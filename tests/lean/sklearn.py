"""Stands where sklearn would be found, for tests that do without it: see `fresh.environment`."""

raise ImportError("sklearn is left out of the processes of tests: tests/fresh.py")
