# Everything stays in this folder: the virtual environment in .venv, data in .kindred.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin
SOURCES := features models training pipelines serving tests notebooks benchmarks
export PYTHONDONTWRITEBYTECODE := 1
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/matplotlib
export IPYTHONDIR := $(CURDIR)/$(VENV)/ipython
export JUPYTER_DATA_DIR := $(CURDIR)/$(VENV)/jupyter
export PIP_CACHE_DIR := $(CURDIR)/$(VENV)/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export BENTOML_HOME := $(CURDIR)/$(VENV)/bentoml

.PHONY: install demo check test test-all soak format clean
.DEFAULT_GOAL := install

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --no-cache-dir --constraint constraints.txt --editable '.[dev,notebooks]'
	$(RUN)/python -m features.compiled
	touch $@

demo: install
	$(RUN)/kindred demo

check: install
	$(RUN)/ruff format --check $(SOURCES)
	$(RUN)/ruff check $(SOURCES)
	$(RUN)/mypy

test: install
	@mkdir -p .kindred
	$(RUN)/pytest --basetemp=.kindred/tests -m "not slow"

test-all: install
	@mkdir -p .kindred
	$(RUN)/pytest --basetemp=.kindred/tests

# Minutes of traffic under random faults of workers, Redis, three real Kafka brokers and the disk: make soak MINUTES=10
soak: install
	$(RUN)/python -m benchmarks.soak --minutes $(or $(MINUTES),10) $(SOAK)

format: install
	$(RUN)/ruff check --fix --quiet $(SOURCES)
	$(RUN)/ruff format $(SOURCES)

clean:
	rm -rf $(VENV) .kindred .mypy_cache .ruff_cache .pytest_cache .hypothesis
