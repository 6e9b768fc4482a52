# make demo   fit simple forecasters and two networks on air quality of Beijing, print the table, draw picture and page
# make check  lint, types, and the tests of the parts that forecasters are made of: a minute, after every change
# make test   lint, types, and all tests but the exhaustive ones
# make exhaustive  the tests that `make test` leaves out: what is decided once, repeated for every forecaster
# make results-check  compare the tables in README and docs with the stored results; benchmarks/page_tables.py --write renews them
# make docs   build the documentation into docs/_build/html, the examples of the gallery included
# make clean  remove what the two left behind
# Python >= 3.10 with pip is all that is needed; everything is installed into .venv. Another Python: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 --dist loadfile
# What `make check` tests: the parts that forecasters are made of, the borders, what all forecasters promise, saved models
PARTS := $(addprefix tests/,data faults golden graphs io layers linear metrics networks ops prediction storage training test_house.py test_package.py test_registry.py)

# Short enough for a first look: two networks of the three of `stmest report`, half a day of look-back, and few epochs
DEMO_MODELS := last-value,seasonal-naive,mean-profile,ridge,ridge-blend,stid,stm3

.PHONY: help demo lint check test exhaustive results-check docs clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(VENV)/.demo
	@echo "==> stmest report: two years of PM2.5 at twelve sites of Beijing"
	$(VENV)/bin/stmest report --models $(DEMO_MODELS) --input-length 12 --max-epochs 4 --batch-size 128 --html stmest-report/report.html

lint: $(VENV)/.test
	@echo "==> ruff: lint"
	$(VENV)/bin/ruff check .
	@echo "==> ruff: format"
	$(VENV)/bin/ruff format --check .
	@echo "==> mypy"
	$(VENV)/bin/mypy

check: lint
	@echo "==> pytest: the parts"
	$(PYTEST) -m "not slow and not exhaustive" $(PARTS)

test: lint
	@echo "==> pytest"
	$(PYTEST) --durations=15

exhaustive: $(VENV)/.test
	@echo "==> pytest: exhaustive"
	$(PYTEST) -m exhaustive --durations=15

results-check:
	@echo "==> tables of README and docs"
	$(PYTHON) benchmarks/page_tables.py

docs: $(VENV)/.docs
	@echo "==> sphinx"
	$(VENV)/bin/python docs/diagrams.py
	OMP_NUM_THREADS=2 $(VENV)/bin/sphinx-build -W --keep-going -b html docs docs/_build/html
	@echo "site     docs/_build/html/index.html"

clean:
	rm -rf docs/_build docs/auto_gallery docs/tutorial docs/reference docs/sg_execution_times.rst $(VENV) build dist stmest.egg-info stmest-report .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamp files: a step runs again only when what it depends on has changed, and is not stamped when it failed.
# Some systems ship Python without the part that puts pip into a new environment; then the pip beside it does so.
$(VENV)/.created:
	@echo "==> creating $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "stmest needs Python >= 3.10, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip install --target "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" pip; }
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml constraints.txt
	@echo "==> installing stmest (torch is large: the first time takes a few minutes)"
	$(PIP) -e ".[plot]"
	@touch $@

$(VENV)/.test: $(VENV)/.created pyproject.toml constraints.txt
	@echo "==> installing stmest and its test tools (torch is large: the first time takes a few minutes)"
	$(PIP) -e ".[test]"
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: $(VENV)/.created pyproject.toml constraints.txt
	@echo "==> installing stmest and what builds its documentation (torch is large: the first time takes a few minutes)"
	$(PIP) -e ".[docs,graph,plot,sktime]"
	@touch $@
