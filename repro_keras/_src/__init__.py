"""Everything private. `repro_keras/repro.py` re-exports what is public of it."""
