# Needs python3.11 (or PYTHON=...), a C compiler for nothing but pip's rare source packages, make.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
# Two test processes with one compute thread each fill two cores without fighting for them.
TEST := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest

.PHONY: help install run serve test test-faults check audit format docs clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

install: $(STAMP) ## make .venv with the versions of constraints.txt; nothing to do if up to date

# torch first: pip then takes the build at hand (CPU or CUDA) instead of choosing one by itself.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[embedded,test]'
	touch $(STAMP)

run: $(STAMP) ## the whole pipeline: laptop profile, shipped domain, no key, no network
	$(BIN)/cookbook run

serve: $(STAMP) ## Prefect's server with UI and this project's deployments, on loopback
	$(BIN)/cookbook serve

test: $(STAMP) ## the tests (some 20 minutes on two cores)
	$(TEST) -n 2 --dist loadfile

# Ray is large and only for the test of a killed cluster node, which says so where it is missing.
# Its server is away for two minutes: COOKBOOK_TEST_OUTAGE_S in the environment is the other length.
test-faults: export COOKBOOK_TEST_OUTAGE_S ?= 120
test-faults: $(STAMP) ## kills, full disks and the Prefect UI in a real browser
	@$(BIN)/python -c 'import ray' 2>/dev/null || $(PIP) 'ray>=2.50' \
		|| echo "NOT RUN: Ray cannot be installed, so no cluster node is killed." >&2
	$(TEST) -m 'faults or browser'

check: $(STAMP) ## lint, types (strict), imports one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m flows.licenses
	@$(MAKE) --no-print-directory audit || { test ! -s $(AUDITED) && echo "NOT AUDITED: see above."; }

# In an environment of its own: its packages are no part of this project's lock. Strict, since a
# database that cannot be reached counts as "no known vulnerabilities" otherwise. pip-audit exits
# with 1 then too, and writes its file only where it has asked about every package.
AUDITED := .audit/audited.json
FOUND := import json, sys; \
	found = [(one["name"], one["version"], vulnerability["id"]) \
	for one in json.load(open(sys.argv[1]))["dependencies"] for vulnerability in one.get("vulns", ())]; \
	[print("VULNERABLE:", *one) for one in found]; \
	sys.exit(bool(found))
audit: ## known vulnerabilities of the pinned packages, where their database can be reached
	@rm -f $(AUDITED)
	@test -x .audit/bin/pip-audit || { $(PYTHON) -m venv .audit && .audit/bin/python -m pip install \
		--disable-pip-version-check --quiet --retries 1 --timeout 10 pip-audit==2.10.1; }
	@.audit/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip \
		--progress-spinner off --timeout 10 --format json --output $(AUDITED) || test -s $(AUDITED)
	@$(PYTHON) -c '$(FOUND)' $(AUDITED)

format: $(STAMP) ## reformat and mend what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## write docs/cli.md from the commands' help
	$(BIN)/python -m flows.cli_reference > docs/cli.md

clean: ## remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) .audit .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
