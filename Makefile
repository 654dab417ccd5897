# make demo   sets everything up and fuses the built-in bracket
# make test   what CI runs: lint, types, tests
# make help   the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help venv demo test check lint types tests format bench picture clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

venv: $(READY)  ## the virtual environment with mefuse and its tools

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "mefuse needs Python 3.11 to 3.13; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "python3 cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
	  exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

demo: $(READY)  ## makes a hand-held sample bracket and fuses it
	$(BIN)/mefuse sample --output demo --overwrite
	$(BIN)/mefuse fuse demo/room_*.jpg --output demo/fused.png --overwrite --verbose
	@echo "The fused picture: $(CURDIR)/demo/fused.png"

test: check tests  ## what CI runs: lint, types, tests

check: lint types  ## lint and types

lint: $(READY)  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## static types
	$(BIN)/mypy

tests: $(READY)  ## the tests alone
	$(BIN)/python -m pytest -q

format: $(READY)  ## formats the code and mends what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## measures every step, time and memory, beside plain OpenCV
	$(BIN)/mefuse bench --quick

picture: demo  ## the README's pictures, docs/demo.jpg and docs/looks.jpg
	$(BIN)/python docs/make_picture.py demo/room_*.jpg demo/fused.png docs/demo.jpg
	$(BIN)/python docs/make_looks.py demo/room_*.jpg docs/looks.jpg

clean:  ## removes what was made here, the virtual environment too
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
