# `make help` lists what there is. Python 3.11 to 3.13: make PYTHON=python3.12 …
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
OLDEST = .venv-oldest
export PYTHONHASHSEED = 0
JOBS ?= 2
# pip's quiet mode still warns of its own age.
PIP = -m pip --disable-pip-version-check --quiet

.PHONY: help demo verify-examples notebooks soak golden portable test test-fast test-oldest check format stubs bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (a minute or two)…"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)  ## train on real digits with plain Keras and with the import swapped; run and verify
	@$(BIN)/python examples/demo.py

verify-examples: $(READY)  ## run each example again and compare with its record
	@$(BIN)/python examples/verify_records.py

notebooks: $(READY)  ## run the notebooks and store their outputs
	@$(BIN)/python tools/run_notebooks.py

test: $(READY) stubs-current  ## all tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

KILLS ?= 200
soak: $(READY)  ## kill trainings KILLS times (200) at random; none may come to anything else
	@$(BIN)/python tests/scripts/soak.py $(KILLS)

test-fast: $(READY)  ## the tests that take less than three minutes together
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m 'not slow'

$(OLDEST)/.ready: pyproject.toml constraints-oldest.txt
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python $(PIP) install -c constraints-oldest.txt -e '.[dev]'
	@touch $@

test-oldest: $(OLDEST)/.ready  ## all tests on the oldest supported Keras and TensorFlow
	@$(OLDEST)/bin/python -m pytest -n $(JOBS) --dist loadfile

UPDATE ?=
golden: $(READY)  ## train 45 models and compare with what other machines came to
	@$(BIN)/python tests/scripts/golden.py $(UPDATE)

CPUS ?=
portable: $(READY)  ## compare every operation, shape and model as twelve CPUs would choose
	@$(BIN)/python tests/scripts/cpus.py $(CPUS)

check: $(READY) stubs-current  ## ruff, pyright on the public face, stubs current
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

.PHONY: stubs-current
stubs-current: $(READY)
	@$(BIN)/python tools/make_stubs.py --check

stubs: $(READY)  ## write the stubs anew, after a new Keras
	@$(BIN)/python tools/make_stubs.py

format: $(READY)  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY)  ## what the swapped import costs
	@$(BIN)/python benchmarks/import_time.py
	@$(BIN)/python benchmarks/families.py
	@$(BIN)/python benchmarks/save.py
	@$(BIN)/python benchmarks/digest.py
	@$(BIN)/python benchmarks/record.py
	@$(BIN)/python benchmarks/verify.py
	@$(BIN)/python benchmarks/diff.py
	@$(BIN)/python benchmarks/sessions.py
	@$(BIN)/python benchmarks/state.py

clean:  ## remove the virtual environments, and the copies of tools/told_cpu
	rm -rf $(VENV) $(OLDEST) .told
