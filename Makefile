# make run [STUDY=ecsi] · make test · make test-all · make lint · make coverage · make lab [NOTEBOOKS=notebooks/zh] · make bench.  Needs python3 (3.11 or later) and make, nothing else.
STUDY ?= vas
NOTEBOOKS ?= notebooks
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-all lab bench lint coverage lock clean

run: $(VENV)/.installed
	$(BIN)/cxlib run $(STUDY)

test: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# With the whole runs, the coverage simulations and the long property tests that `make test` leaves out.
test-all: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lab: $(VENV)/.installed
	$(BIN)/jupyter lab $(NOTEBOOKS)

bench: $(VENV)/.installed
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

coverage: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

# Every package with its hash; the file holds no address, so it installs from whatever registry pip is set to use.
$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cx needs Python 3.11 or later; found " + sys.version.split()[0] + ". Give another: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dev pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) runs build *.egg-info
