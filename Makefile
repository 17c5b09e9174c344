# make search   environment, install, then a robust search on the embedded data
# make test     environment, install, the optional native kernels if they build, the whole test suite;
#               with CI=true it fails where they do not build
# make check    ruff, mypy and the fast tests
# make fuzz     50,000 damaged files for each reader of files, some hours
# make native   build the optional kernels in place
# make clean    remove the environment, caches and builds (runs/ and data/ stay)
#
# PYTHON=python3.12   the interpreter that creates the environment
# VENV=DIR            where the environment is or will be
# VENV=               (empty) install nothing and use PYTHON with what it has
# ARGS="--seed 1"     more arguments for `make search`, and for pytest in `make test` and `make check`

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

# VENV is a target of make and a word of the shell: neither holds a space, and what either would
# run must not. Its text is looked at before anything expands it.
DOLLAR := $$
OPEN   := (
CLOSE  := )
HASH   := \#
SPECIAL := ' " ` ; & | < > * ? [ ] { } ! : % \ $(DOLLAR) $(OPEN) $(CLOSE) $(HASH)
ifneq ($(strip $(word 2,$(value VENV)) $(foreach c,$(SPECIAL),$(findstring $(c),$(value VENV)))),)
$(error VENV may hold neither spaces nor characters that make or the shell treats specially; \
name another folder, or a link to this one)
endif

# PYTHON may be any path: its text is taken as it is, make expands nothing in it, and the shell gets
# it as one word. A ~/ at its beginning stays one.
override PYTHON := $(value PYTHON)
WORD := '$(subst ','\'',$(PYTHON))'
WORD := $(subst '~/,~/',$(WORD))

ifeq ($(strip $(VENV)),)
PY      := $(WORD)
INSTALL := packages-there
DEV     := packages-there
else
PY      := $(VENV)/bin/python
INSTALL := $(VENV)/.robust-supernet
DEV     := $(VENV)/.robust-supernet-dev
endif

# torch looks for ninja, which builds on all cores, on the PATH; the environment may have brought it.
# The shell finds out where that is: a checkout's path in the text of a recipe would be run by it.
PATH_TO_NINJA = $(if $(strip $(VENV)),PATH="$$(cd '$(VENV)/bin' && pwd):$$PATH",)

# Two workers of one thread each: a test's networks are too small to gain from more threads.
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

PIP_INSTALL = NO_NATIVE=1 $(PY) -m pip install --disable-pip-version-check
FAILED_PIP  = { echo "make: the install into $(VENV) failed, pip says why above; 'make $(MAKECMDGOALS) VENV= PYTHON=python3' uses an environment that has everything." >&2; exit 2; }

.PHONY: search test check fuzz native clean packages-there
.DELETE_ON_ERROR:

search: $(INSTALL)
	$(PY) scripts/search.py --robust $(ARGS)

test: $(DEV)
ifeq ($(CI),true)
	@$(MAKE) --no-print-directory native REQUIRE_NATIVE=1
else
	@$(MAKE) --no-print-directory native \
	  || echo "make: the native kernels did not build; testing the pure PyTorch paths without them."
endif
	$(PYTEST) $(ARGS)

check: $(DEV)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PYTEST) -q -m "not slow" $(ARGS)

fuzz: $(DEV)
	$(PYTEST) -q tests/fuzz --hypothesis-profile long $(ARGS)

native: $(INSTALL)
	@$(PATH_TO_NINJA) $(PY) setup.py -q build_ext --inplace
	@$(PY) -c 'import sys; from cuda_ext import _native as n; \
	  sys.exit(0 if n.available() else "make: no native kernels: " + str(n.why_unavailable()))'

# The stamps make a second call instant; a changed pyproject.toml installs again. The install is
# editable, so changed code needs nothing. NO_NATIVE: nothing is compiled here, `make native` does.
$(VENV)/.robust-supernet: pyproject.toml | $(VENV)/bin/pip
	@echo "Installing robust-supernet and what it needs into $(VENV): about 5.6 GB and some minutes the first time."
	@$(PIP_INSTALL) -e . || $(FAILED_PIP)
	@touch $@

$(VENV)/.robust-supernet-dev: pyproject.toml | $(VENV)/.robust-supernet
	@$(PIP_INSTALL) -q -e ".[dev]" || $(FAILED_PIP)
	@touch $@

# One plain line for each thing that commonly stops a fresh machine.
$(VENV)/bin/pip:
	@command -v $(WORD) >/dev/null \
	  || { echo "make: there is no '"$(WORD)"'; install Python 3.10 or newer, or name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(WORD) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "make: "$(WORD)" is $$($(WORD) -V 2>&1), too old; name Python 3.10 or newer: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(WORD) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make: "$(WORD)" cannot create environments; install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@$(WORD) -m venv $(VENV)

test fuzz: ALSO = pytest pytest-xdist hypothesis
check: ALSO = pytest pytest-xdist hypothesis ruff mypy

# Reads the names in pyproject.toml's list of dependencies.
packages-there:
	@$(PY) -c 'import re, sys; from importlib import metadata; \
	  text = open("pyproject.toml").read().split("\ndependencies = [")[1].split("\n]")[0]; \
	  there = {re.sub("[-_.]+", "-", d.metadata["Name"] or "").lower() for d in metadata.distributions()}; \
	  missing = [n for n in re.findall("\"([a-z0-9-]+)", text) + "$(ALSO)".split() if n not in there]; \
	  sys.exit("make: " + sys.argv[1] + " lacks " + ", ".join(missing) + "; install them there, or leave out VENV= to get an environment." if missing else 0)' $(PY)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	rm -f cuda_ext/*.so
	find supernet ops cuda_ext scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
