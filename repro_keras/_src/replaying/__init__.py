"""Replaying the step in which two runs differ first, with every tensor of it looked at.

`sides` finds the code and data of a run as they were, `replay` runs it again up to the step,
`look` is in that process and notes what `patches/looking.py` shows it, `seen` is what it leaves
behind, and `places` compares two of these.
"""
