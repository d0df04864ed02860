# Two commands: `make demo` shows it at work, `make test` checks everything.
# Each makes its own .venv from the Python it finds; PYTHON=python3.12 picks another.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: test lint types unit demo bench dist lock clean

test: lint types unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/python -m pytest -n auto

$(READY): pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)

dist: $(READY)
	$(BIN)/python -m build

# Renew the locked development environment, for every supported Python at once.
lock:
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/python -m pip install --quiet uv
	.tools/uv/bin/uv pip compile --quiet --universal --python-version 3.10 --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra local --group dev \
		pyproject.toml --output-file requirements-dev.txt

clean:
	rm -rf $(VENV) .tools .demo build dist .mypy_cache .pytest_cache .ruff_cache
