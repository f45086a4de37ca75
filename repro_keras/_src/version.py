"""The version of repro_keras."""

__version__ = "0.1.0"
