# `make demo` and `make test` need Python 3.11 or 3.12, make and a package index: nothing else.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One BLAS thread: results must not depend on how many cores there are.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: demo test check faults verify long scenarios format dashboards screenshots lock clean

demo: $(READY)
	@$(BIN)/femtoward demo $(ARGS)

test: check
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --strict tests
	$(BIN)/lint-imports

# Measures the simulator's sensors against what they declare, by an hour of signal each: some minutes.
verify: $(READY)
	@$(BIN)/femtoward simulate --verify $(ARGS)

# Every fault of every simulated device through the whole flow, 30 patient-days of it: hours.
SEEDS := $(shell seq -s, 1 36)
faults: $(READY)
	$(BIN)/femtoward evaluate faults --records $(SEEDS) $(ARGS)

# What takes too long for every change: trials of the siege, whole collections of recordings, one more way of many.
long: $(READY)
	$(BIN)/python -m pytest -n 2 --long -m long $(ARGS)

# Every scenario of the library, whole, through the whole flow: some minutes.
scenarios: $(READY)
	$(BIN)/python -m pytest -n 2 --long tests/test_sim_scenarios.py $(ARGS)

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Writes Grafana's files anew from the Python that they are made of.
dashboards: $(READY)
	$(BIN)/python -m deploy.grafana.files

$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "femtoward needs Python 3.11 or 3.12 on the PATH (python3.11 or python3.12); none was found" >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON): once, about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Pictures of the ward page, to be looked at; needs Debian's chromium.
screenshots: $(READY)
	$(BIN)/python tests/take_screenshots.py screenshots

# Pins every dependency with its hashes from the ranges in pyproject.toml.
lock: $(READY)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --output-file requirements.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist ./*.egg-info femtoward-data
	find . -name __pycache__ -prune -exec rm -rf {} +
