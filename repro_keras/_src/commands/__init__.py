"""The commands of `repro-keras`, a file per subject: each parses, calls and prints.

`common` is what they share, `tables` what they print of comparisons.
"""
