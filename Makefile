# Set up, run and check BuildAPI. "make help" lists the commands.

PORT = 8010
DATA = ./data
VENV = .venv
PYTEST_ARGS =
FAST = not (mariadb or rabbitmq or buildbot or chromium or promtool or nginx or apache or systemd or logrotate or node)

SHELL = /bin/sh
PIP = $(VENV)/bin/python -m pip -qq --no-input install --progress-bar off
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHON
# The tests start our programs hundreds of times: compiling them each time would take longer than they do.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help install run test fast fast-3.12 fast-3.13 collect check format format-check lint types docs services dist man bench clean

help:
	@echo "make run        start BuildAPI with a small sample farm on http://127.0.0.1:$(PORT)/ (PORT=, DATA=)"
	@echo "make test       all tests; those that need a service which is not installed are skipped and named"
	@echo "make fast       tests that need nothing but Python, without those that start our programs or all of the program"
	@echo "make check      what CI runs: formatting, lint, types, documentation, some tests on 3.13, all tests"
	@echo "make fast-3.12  fast tests of what another Python may do otherwise, on 3.12"
	@echo "make docs       the documentation as a site in build/docs; every warning is an error"
	@echo "make format     format the code and repair what lint can repair"
	@echo "make bench      measure everything and write docs/performance.md (SIZE=, ONLY=, QUICK=1), 10 to 20 minutes"
	@echo "make man        write the manual pages in docs/man from the commands"
	@echo "make services   install the servers and gcc that the tests start (Debian, Ubuntu)"
	@echo "make dist       build the wheel and the source archive into dist/"
	@echo "make clean      remove virtual environments and caches; data stays"
	@echo "WORKERS=0 runs the tests one after the other, in one process."
	@echo "PYTHON=/path/to/python chooses the interpreter (3.11 to 3.13)."

# --- virtual environment ----------------------------------------------------------------------
# A stamp inside the environment says what it holds, so pip runs only after setup.py or
# pyproject.toml changed. A new environment has no stamps.

$(VENV)/bin/python:
	@python=$$(.ci/find-python 3.11 3.12 3.13) || exit 1; \
	echo "Making $(VENV) with $$python"; \
	"$$python" -m venv --clear $(VENV)

$(VENV)/.installed: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "Installing BuildAPI into $(VENV)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-test: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "Installing BuildAPI and its test tools into $(VENV)"
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "Installing BuildAPI, its test and development tools into $(VENV)"
	@$(PIP) -e '.[test,dev]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-test

$(VENV)/.installed-docs: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "Installing BuildAPI and what makes its documentation into $(VENV)"
	@$(PIP) -e '.[docs]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-all: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "Installing BuildAPI and all of its tools into $(VENV)"
	@$(PIP) -e '.[test,dev,docs]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-dev $(VENV)/.installed-docs

install: $(VENV)/.installed-all

# --- run --------------------------------------------------------------------------------------

run: $(VENV)/.installed
	@exec $(VENV)/bin/twistd -n --pidfile= buildapi --sample --data '$(DATA)' \
		--listen tcp:$(PORT):interface=127.0.0.1

# --- check ------------------------------------------------------------------------------------

# Each worker takes one file after the other, in the order of tests/conftest.py. Most tests wait for servers and
# processes: twice as many workers as cores keep both busy, and more would make each wait longer.
PYTEST = $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: WORKERS = 4
test: $(VENV)/.installed-test
	@$(PYTEST) $(PYTEST_ARGS)

# Each worker would rewrite the assertions of all tests for itself: this leaves them in the cache.
collect: $(VENV)/.installed-test
	@found=$$($(VENV)/bin/python -m pytest --collect-only -q 2>&1); code=$$?; \
	lines=$$(test $$code = 0 && echo 1 || echo 40); echo "$$found" | tail -n $$lines; exit $$code

fast: WORKERS = 3
fast: $(VENV)/.installed-test
	@$(PYTEST) -m '$(FAST)' $(PROCESSES:%=--ignore=%) $(PYTEST_ARGS)

# What starts our programs, or all of the program for each of 200 recorded jobs, takes half of the time of what needs only Python.
PROCESSES = tests/golden/test_jobs.py tests/docs/test_blocks.py tests/deploy tests/plugins tests/e2e tests/operating \
	tests/dumps/test_command.py tests/cli/test_failures.py tests/cli/test_sample_farm.py tests/cli/test_terminal.py

# Another Python differs in what it brings along: here its parsers, its sqlite3, threads, sockets and files are used, and all of
# the program answers all recorded reads. What we compute from values ourselves says nothing of it.
OF_PYTHON = tests/config tests/cli tests/db tests/mq tests/ops tests/dumps tests/golden/test_reads.py \
	tests/web/test_bodies.py tests/web/test_connections.py tests/web/test_headers.py tests/web/test_listener.py \
	tests/test_atomic_file.py tests/test_progress_bar.py tests/test_reloading.py tests/test_service_tree.py

fast-3.12 fast-3.13: fast-%:
	@python=$$(PYTHON= QUIET=1 .ci/find-python $*) || { \
		echo "Python $* is not installed: its tests are left out."; exit 0; }; \
	$(MAKE) --no-print-directory fast PYTHON="$$python" VENV=.venv-$* WORKERS=2 PYTEST_ARGS='-q $(OF_PYTHON)'

format: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff format
	@$(VENV)/bin/ruff check --fix

format-check: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff format --check

lint: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff check

types: $(VENV)/.installed-dev
	@$(VENV)/bin/mypy

docs: $(VENV)/.installed-docs
	@$(VENV)/bin/python -m sphinx -q -E -a -n -W --keep-going -b html docs build/docs
	@$(VENV)/bin/python .ci/check-site build/docs

# What needs one core is done side by side. All tests come last, so that their summary is what stands at the end.
check:
	@.ci/timed "install" $(MAKE) --silent install
	@.ci/timed "format" $(MAKE) --no-print-directory format-check
	@.ci/timed "lint" $(MAKE) --no-print-directory lint
	@.ci/together "fast tests on 3.13" fast-3.13 "types" types "documentation" docs "collection" collect
	@.ci/timed "all tests on $$($(VENV)/bin/python --version)" $(MAKE) --no-print-directory test

# Only a whole run with care is worth a page.
bench: SIZE = 100000
bench: $(VENV)/.installed-test
	@$(VENV)/bin/python -m bench --size $(SIZE) $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) \
		$(if $(QUICK)$(ONLY),--json build/bench.json,--json docs/performance.json --document)

man: $(VENV)/.installed
	@rm -f docs/man/*.1
	@$(VENV)/bin/buildapi man --write docs/man

services:
	@.ci/services

# setuptools collects a wheel in build/, where files of earlier ones would stay.
dist: $(VENV)/.installed-test
	@rm -rf build dist buildapi.egg-info
	@$(VENV)/bin/python -m build --outdir dist .
	@.ci/check-size dist/*.tar.gz

clean:
	rm -rf .venv .venv-3.12 .venv-3.13 .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache
