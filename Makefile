# `make` lists the targets. Every target that needs .venv creates or updates it first.

PYTHON ?= python3
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
# Number of test processes, each with one thread: more than four gain little and need much memory.
WORKERS ?= $(shell test $(CORES) -lt 4 && echo $(CORES) || echo 4)

VENV := .venv
PY := $(VENV)/bin/python
SCALE ?= demo
LAUNCHER ?=
DEVICE ?= cpu
ARGS ?=

INSTALLED := $(VENV)/.installed
INSTALLING := $(VENV)/.installing
# An existing environment keeps its Python, unless PYTHON names another.
ASKED := $(if $(filter file,$(origin PYTHON)),$(PY),$(PYTHON))

.DEFAULT_GOAL := help
.PHONY: help install demo reproduce-figures figures evaluate test coverage test-faults test-slurm lint docs bench clean distclean run-given

help:  ## Show this list
	@echo "autoclip_sep: source-separation training around AutoClip"
	@echo
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Settings: PYTHON=python3.12 (for .venv), RUN=runs/... (for evaluate), WORKERS=2 (for the tests),"
	@echo "          SCALE=full ARGS=\"seed=1 runs=...\" (for reproduce-figures)"

install: $(INSTALLED)  ## Create .venv with the versions of constraints.txt (about 6 GB)
	@echo "$(VENV) is ready"

demo: $(INSTALLED)  ## Train with and without AutoClip on the built-in corpus, evaluate, draw Figure 1, report
	$(PY) scripts/reproduce.py experiment=demo

reproduce-figures: $(INSTALLED)  ## The main job: train, then draw all figures and tables (SCALE=full, SCALE=paper, LAUNCHER=slurm)
	$(PY) scripts/reproduce.py scale=$(SCALE) $(if $(LAUNCHER),launcher=$(LAUNCHER)) $(ARGS)

figures: $(INSTALLED)  ## Draw the README's figures and tables from the kept records into figures/reference
	$(PY) scripts/draw_figures.py
	$(PY) recipes/alrc_supersampling/draw.py

evaluate: run-given $(INSTALLED)  ## SI-SDR of one run on its test set: make evaluate RUN=runs/...
	$(PY) evaluate.py "run=$$RUN"

# One thread per process: the processes already use all cores.
test: lint  ## Lint, check types, run all tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist worksteal

coverage: $(INSTALLED)  ## The tests, and how many of the package's lines they run
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist worksteal --cov=autoclip_sep --cov-report=term:skip-covered

test-faults: $(INSTALLED)  ## Long fault tests, with their numbers: kills, full disks, damage (minutes)
	OMP_NUM_THREADS=1 $(PY) -m pytest faults -n $(WORKERS) --dist worksteal

test-slurm: $(INSTALLED)  ## Grids and runs on several nodes, on a Slurm started here, as root (minutes)
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/slurm

lint: $(INSTALLED)  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# Silence the theme's announcement of its successor.
docs: $(INSTALLED)  ## Build the documentation and the API reference into site/
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build

# QUICK=1: everything tiny, to see it run; docs/benchmarks.md isn't touched. DEVICE=cuda: on a GPU.
bench: $(INSTALLED)  ## Time everything beside its peers, into docs/benchmarks.md (QUICK=1 only to see it run)
	$(PY) -m benchmarks device=$(DEVICE) $(if $(QUICK),quick=true,output=docs) $(ARGS)

clean:  ## Remove caches; keep runs, corpora and .venv
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site *.egg-info
	find . -name $(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Also remove .venv, the built corpora and their stores; keep runs
	rm -rf $(VENV) corpora store

# The marker .installing exists while packages are being written. If an earlier install was interrupted, or
# .venv has another Python than the one asked for, it is created anew; otherwise it is updated.
# The free space is checked first, since pip would fail only after minutes of downloads. Outside Linux there
# are no CUDA packages, and half the space suffices.
# --no-build-isolation: packages without a wheel are built by the pinned setuptools.
$(INSTALLED): pyproject.toml constraints.txt
	@if test ! -e $(INSTALLING) && $(PY) -m pip --version >/dev/null 2>&1 && \
	    test "$$($(PY) -V)" = "$$($(ASKED) -V 2>/dev/null)"; then \
	    echo "Updating $(VENV)"; \
	else \
	    $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	        echo "autoclip_sep needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is" \
	            "$$($(PYTHON) -V 2>/dev/null || echo missing): name another, as in" \
	            "make install PYTHON=python3.12" >&2; \
	        exit 2; }; \
	    old=$$(du -sk $(VENV) 2>/dev/null | cut -f 1); \
	    short=$$(df -Pk . 2>/dev/null | awk -v old="$${old:-0}" 'match($$0, /[0-9]+ +[0-9]+%/) { \
	        room = (substr($$0, RSTART) + old) * 1024 / 1e9; if (room < 9) printf "%.1f", room }'); \
	    test -z "$$short" || test "$$(uname)" != Linux || { \
	        echo "$(VENV) takes 9 GB of disk while it is made (6.4 GB in the end), and $$short GB are" \
	            "free: make room, then call make again" >&2; \
	        exit 2; }; \
	    echo "Creating $(VENV); with the downloads this takes a few minutes"; \
	    $(PYTHON) -m venv --clear $(VENV); \
	fi
	@touch $(INSTALLING)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	    --requirement constraints.txt --editable .
	@command -v cc >/dev/null && $(PY) -m pip install --quiet --disable-pip-version-check --no-deps pesq==0.0.4 || \
	    echo "Without the metric pesq, which is compiled: it needs a C compiler and Python's headers"
	@rm $(INSTALLING)
	@touch $@

run-given:
	@test -n "$$RUN" || { echo "which run? make evaluate RUN=runs/..." >&2; exit 2; }
