"""Cells of notebooks: what they are called, what they do out of order, what comes out."""
