"""Comparing two records: nothing is run, and neither Keras nor TensorFlow is loaded.

`compare` comes to the verdict, `trails` finds where training differs first, and `causes` says what
may be the cause.
"""
