"""`python -m repro_keras` is `repro-keras`."""

from repro_keras.cli import main

main(prog_name="repro-keras")
