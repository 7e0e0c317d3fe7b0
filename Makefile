# `make demo` runs the main job on a synthetic country; `make test` runs every check.
# Both set up what they need in .venv from an empty folder: make, python3 >= 3.11 and python3-venv suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo

.PHONY: help demo test check lint types docs notebooks samples bench lock clean

help:
	@echo "make demo       the main job on a synthetic country, ending in a report"
	@echo "make test       style, types, import rules, tests, notebooks and docs"
	@echo "make check      the fast half of make test: style, types, import rules"
	@echo "make bench      the benchmarks beside the peers"
	@echo "make fuzz       2,400 spoilt inputs and 20 killed runs, each to end right or in one sentence"
	@echo "make samples    make sample_rasters/ again from its seed"
	@echo "make lock       resolve the pinned, hashed requirement files again"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gistools needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.12 demo" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 2; }

# uv is only a faster pip: where it cannot be installed, pip does the same.
define install
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
	@if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --only-binary :all: -r $(1); \
	 else $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $(1); fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endef

$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) ..."
	$(call install,requirements.txt)
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(call install,requirements-dev.txt)
	@touch $@

demo: $(VENV)/.run
	$(BIN)/gistools sample $(DEMO)/sample
	$(BIN)/gistools run $(DEMO)/sample/study.yaml --out $(DEMO)/run --resume

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

check: lint types

test: check docs
	$(BIN)/python -m pytest -n 2 --dist loadgroup

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

samples: $(VENV)/.run
	$(BIN)/python sample_rasters/make_samples.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/raster.py
	$(BIN)/python benchmarks/zonal.py
	$(BIN)/python benchmarks/cleaning.py
	$(BIN)/python benchmarks/geocoding_offline.py
	$(BIN)/python benchmarks/geocoding.py
	$(BIN)/python benchmarks/datum.py
	$(BIN)/python benchmarks/distance.py
	$(BIN)/python benchmarks/regulation.py
	$(BIN)/python benchmarks/spatial.py

.PHONY: fuzz
fuzz: $(VENV)/.dev
	$(BIN)/python fuzz/inputs.py
	$(BIN)/python fuzz/kills.py

UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --only-binary :all:
lock: | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	$(UV_COMPILE) pyproject.toml --group build -o requirements.txt
	$(UV_COMPILE) pyproject.toml --group build --group test --group notebooks --group docs --group style --group bench -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf $(VENV) $(DEMO) site build dist
