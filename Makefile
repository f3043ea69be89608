# `make` explains itself. Everything works from a clean clone, without sudo; only a missing Chromium
# is asked of the system, by `make test-browser`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := headrace features operators serving flows
STUDIO := .venv-labelstudio
STUDIO_VERSION := 1.23.2

# uv does not read pip's configuration; it separates by commas what pip separates by blanks.
empty :=
space := $(empty) $(empty)
comma := ,
UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))
ifneq ($(strip $(UV_FIND_LINKS)),)
export UV_FIND_LINKS
endif
# without this, threads that wait for work keep a small machine busy
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup run test test-browser test-services test-labelstudio test-lengthy check fmt bench stop clean constraints

help: ## show this
	@echo "Headrace. What you can make:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything into .venv; nothing to do while pyproject.toml and constraints.txt stand
	@if [ "$$(cat pyproject.toml constraints.txt | cksum)" = "$$(cat $(STAMP) 2>/dev/null)" ]; \
	then :; else $(MAKE) --no-print-directory install; fi

.PHONY: install
install:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "Python 3.11 is needed, and there is no '$(PYTHON)' on the PATH."; \
	  echo "  Fix: install Python 3.11, or name it: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "Python 3.11 is needed, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	  echo "  Fix: name a Python 3.11: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "'$(PYTHON)' cannot make a virtual environment with pip in it."; \
	  echo "  Fix: install its venv module (Debian and Ubuntu: the package python3.11-venv)."; \
	  exit 1; } >&2
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e '.[dev]'
# Where PYTHONDONTWRITEBYTECODE is set, each process would compile anew what it imports: half of what
# its start costs. It answers 1 because of a few files of torch that are for later Pythons.
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/|_init/template/' $(VENV)/lib $(PACKAGES) || true
	@cat pyproject.toml constraints.txt | cksum > $(STAMP)

run: setup ## take real flights from raw files to a registered model, and show it; services stay up
	$(BIN)/headrace up
	$(BIN)/headrace run flight_delay

test: lint ## check, and all tests, with real servers on ports and a home of their own
	$(BIN)/python tests/side_by_side.py -q

test-lengthy: setup ## what takes minutes: kill each server in mid-flow, a repository of one's own
	$(BIN)/python -m pytest -m lengthy tests --ignore=tests/browser

test-browser: setup ## launch, watch, approve and compare runs in a real Chromium; keeps screenshots
	@[ -x /usr/bin/chromium ] || { \
	  [ "$$(id -u)" = 0 ] && sudo= || sudo="sudo -n"; \
	  $$sudo apt-get update -q && \
	  $$sudo apt-get install -q -y --no-install-recommends chromium fonts-liberation; } || { \
	  echo "There is no /usr/bin/chromium, and it cannot be installed from here."; \
	  echo "  Fix: install Chromium there (Debian: apt-get install chromium, as root)."; exit 1; } >&2
	$(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt \
	  -r pyproject.toml --extra browser
	$(BIN)/python -m pytest tests/browser

test-services: setup ## features in Redis and PostgreSQL, started by the tests from Debian's packages
	@lacking() { \
	  command -v redis-server >/dev/null 2>&1 || echo redis-server; \
	  command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
	    echo postgresql; }; \
	missing=$$(echo $$(lacking)); \
	[ -z "$$missing" ] || { \
	  [ "$$(id -u)" = 0 ] && sudo= || sudo="sudo -n"; \
	  $$sudo apt-get update -q && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
	    apt-get install -q -y --no-install-recommends $$missing && \
	  { [ ! -d /run/systemd/system ] || $$sudo systemctl disable --now $$missing; } && \
	  [ -z "$$(lacking)" ]; } || { \
	  echo "These are missing, and cannot be installed from here: $$missing."; \
	  echo "  Fix: install it (Debian: apt-get install $$missing, as root)."; exit 1; } >&2
	$(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt \
	  -r pyproject.toml --extra services
	$(BIN)/python -m pytest tests/services -m services

test-labelstudio: setup ## label in a real Label Studio, in an environment of its own (800 MB)
	@[ "$$(cat $(STUDIO)/.installed 2>/dev/null)" = "$(STUDIO_VERSION)" ] || { \
	  $(BIN)/uv venv --quiet --clear --python $(BIN)/python $(STUDIO) && \
	  $(BIN)/uv pip install --quiet --python $(STUDIO)/bin/python \
	    label-studio==$(STUDIO_VERSION) && \
	  echo $(STUDIO_VERSION) > $(STUDIO)/.installed; }
	LABEL_STUDIO=$(CURDIR)/$(STUDIO)/bin/label-studio \
	  $(BIN)/python -m pytest tests/labelstudio

check: lint ## format, lint, contracts, architecture, types; no server, under two minutes
	$(BIN)/mypy

.PHONY: lint
lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture

fmt: setup ## format, and repair what can be repaired without thought
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## run the benchmarks, or some: make bench ONLY="table_read lineage_query"
	$(BIN)/python -m benchmarks $(ONLY)

stop: ## stop the services that `make run` started
	@if [ -x $(BIN)/headrace ]; then $(BIN)/headrace down; else echo "Nothing is installed."; fi

clean: ## remove var/ (runs, artifacts, databases) and caches; refuses while services are up
	@if ls var/run/*.json >/dev/null 2>&1; then \
	  echo "Services are up, or were not stopped, and write to var/."; \
	  echo "  Fix: make stop"; exit 1; fi >&2
	rm -rf var .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

constraints: setup ## resolve constraints.txt anew; no addresses, no build of torch in particular
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra browser --extra services --python $(BIN)/python --upgrade --quiet \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o constraints.new
	sed 's/+cpu$$//' constraints.new > constraints.txt && rm constraints.new
