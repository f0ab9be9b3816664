# make quickstart   detect, then pre-train, fine-tune, evaluate in small (FRESH=1 starts anew)
# make test         the test suite (ARGS="-k labels" passes options to pytest)
# make lint         ruff and mypy (which takes minutes the first time)
# make docs         the documentation as a site in site/
# make coverage     the test suite with the share of lines that it runs
# make benchmarks   all timings, next to those of others; nothing else should run meanwhile
# make fuzz         thousands of damaged files, ten minutes at most (ARGS="--seed 1 --targets own")
# make kills        trainings and comparisons killed at 50 moments and resumed (ARGS="--seed 1")
# make bundle       all that a machine without a network needs, in parts (ARGS="--data FOLDER")
# make setup        only the virtual environment in .venv, nothing if it is up to date

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
STAMP := $(VENV)/.installed
# Each start of a process would else compile torch's and detectron2's sources anew where no bytecode may
# be written.
export UV_COMPILE_BYTECODE := 1
# detectron2 is not on PyPI under its own name; this wheel holds its unchanged Python part. Its
# compiled part is for one Python version and is never loaded, so the version tag is overruled.
DETECTRON2 := sal-detectron2==0.7.2

.PHONY: setup quickstart test lint docs coverage benchmarks fuzz kills bundle
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed (make PYTHON=python3.12)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): setup.py pyproject.toml Makefile | $(BIN)/uv
	@echo "Installing into $(VENV): torch is large, so this takes a few minutes the first time."
	$(UV) --editable ".[render,test]"
	$(BIN)/python -c 'import detectron2' 2>/dev/null || $(UV) --no-deps --only-binary :all: \
	    --python-version 3.10 --python-platform linux \
	    --target "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	    $(DETECTRON2)
	# The extra "test" brings OpenCV's headless package too. Both have the same files, so one must go;
	# the headless one needs no libGL, which servers and containers may lack.
	$(BIN)/uv pip uninstall --quiet --python $(BIN)/python opencv-python
	$(UV) --no-deps --reinstall opencv-python-headless
	$(BIN)/vlpt-d2 doctor
	@touch $(STAMP)

quickstart: $(STAMP)
	$(BIN)/vlpt-d2 quickstart $(if $(FRESH),--fresh) $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

coverage: $(STAMP)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --cov $(ARGS)

# A benchmark whose data or peers are missing says so; the others still run.
benchmarks: $(STAMP)
	@for file in $(filter-out %/bench_round_trip.py,$(wildcard benchmarks/bench_*.py)); do \
	    echo "== $$file"; $(BIN)/python $$file || failed="$$failed $$file"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

fuzz: $(STAMP)
	$(BIN)/python tools/fuzz.py --seconds 600 $(ARGS)

kills: $(STAMP)
	$(BIN)/python tools/kill_test.py $(ARGS)

bundle: $(STAMP)
	$(BIN)/python tools/bundle.py $(ARGS)
