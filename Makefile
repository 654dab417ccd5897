# make demo   sets everything up and fuses the built-in bracket
# make test   what CI runs: lint, types, tests
# make help   the rest; LOCKED=1 installs exactly what requirements.lock says

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help venv demo test check lint types tests format bench picture clean
.PHONY: faults endurance mutants coverage lock audit pins

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

venv: $(READY)  ## the virtual environment with mefuse and its tools

$(READY): pyproject.toml hatch_build.py $(wildcard src/mefuse/native/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "mefuse needs Python 3.11 to 3.13; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "python3 cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
	  exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef LOCKED
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
endif
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

faults: $(READY)  ## 2,000 damaged files through the whole pipeline; takes minutes
	$(BIN)/python -m mefuse.bench.faults --count 2000

endurance: $(READY)  ## full disks, kills, and a thousand brackets on end; takes an hour
	$(BIN)/python -m mefuse.bench.endurance full-disk
	$(BIN)/python -m mefuse.bench.batch kills --rounds 200 --count 4 --size 160x120 --model mertens
	$(BIN)/python -m mefuse.bench.endurance soak

mutants: $(READY)  ## breaks what matters in copies: the tests have to see it
	$(BIN)/python -m mefuse.bench.mutants

coverage: $(READY)  ## which branches the tests reach
	$(BIN)/python -m pytest -q --cov=mefuse --cov-branch --cov-report=term-missing:skip-covered

lock: $(READY)  ## requirements.lock anew: every dependency with its hashes, for all Pythons
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
	  --generate-hashes pyproject.toml --output-file requirements.lock

audit: $(READY)  ## asks PyPI whether a locked dependency has a known hole
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock

pins: $(READY)  ## the table of src/mefuse/pins.py for the weights that are there
	@cd weights && sha256sum *.safetensors | sed -E 's/^(\w+)  (\w+)\..*/    "\2": "\1",/'

clean:  ## removes what was made here, the virtual environment too
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
