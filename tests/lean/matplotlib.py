"""Stands where matplotlib would be found, for tests that do without it: see `fresh.environment`."""

raise ImportError("matplotlib is left out of the processes of tests: tests/fresh.py")
