# make demo   sets everything up and fuses the built-in bracket
# make test   what CI runs: lint, types, tests
# make help   the rest; LOCKED=1 installs exactly what requirements.lock says, as CI does

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# torch has a build for each kind of GPU, which a lock cannot choose: it comes as the machine has it.
TORCH = $$($(BIN)/python -c 'import tomllib; d = tomllib.load(open("pyproject.toml", "rb")); \
  print(*[one for one in d["project"]["dependencies"] if one.startswith("torch")])')

.DEFAULT_GOAL := help
.PHONY: help venv demo test check lint types tests format bench picture clean
.PHONY: faults endurance mutants fuzz coverage lock audit pins

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
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(INSTALL) "$(TORCH)"
	$(INSTALL) --no-deps --no-build-isolation --editable .
else
	$(INSTALL) --editable '.[dev]'
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

picture: demo  ## the pictures of README and docs: demo.jpg, looks.jpg, models.jpg
	$(BIN)/python docs/make_picture.py demo/room_*.jpg demo/fused.png docs/demo.jpg
	$(BIN)/python docs/make_looks.py demo/room_*.jpg docs/looks.jpg
	$(BIN)/python docs/make_models.py demo/room_*.jpg docs/models.jpg

faults: $(READY)  ## 2,000 damaged files through the whole pipeline; takes minutes
	$(BIN)/python -m mefuse.bench.faults --count 2000

endurance: $(READY)  ## full disks, kills, and a thousand brackets on end; takes an hour
	$(BIN)/python -m mefuse.bench.endurance full-disk
	$(BIN)/python -m mefuse.bench.batch kills --rounds 200 --count 4 --size 160x120 --model mertens
	$(BIN)/python -m mefuse.bench.endurance soak

mutants: $(READY)  ## breaks what matters in copies: the tests have to see it
	$(BIN)/python -m mefuse.bench.mutants

fuzz: $(READY)  ## other damage and other made-up input than ever before; takes minutes
	$(BIN)/python -m pytest -q --hypothesis-profile=long tests/test_parsers.py tests/test_plan.py \
	  tests/test_exif.py tests/test_exif_extract.py tests/test_makernotes.py tests/test_wholeness.py \
	  tests/test_profiles.py tests/test_jxl_header.py tests/test_batch_names.py tests/test_containers.py
	$(BIN)/python -m mefuse.bench.faults --count 2000 --seed $$(date +%s) --keep tests/findings

coverage: $(READY)  ## which branches the tests reach; fails below 95 %
	$(BIN)/python -m pytest -q --cov --cov-report=term-missing:skip-covered --cov-report=json
	$(BIN)/python .ci/branches.py coverage.json

lock: $(READY)  ## requirements.lock as pyproject.toml asks; UPGRADE=1 takes the newest versions
	$(INSTALL) uv
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
	  $(if $(UPGRADE),--upgrade) --generate-hashes pyproject.toml --output-file requirements.lock
	$(BIN)/python .ci/unlock_torch.py requirements.lock

audit: $(READY)  ## asks PyPI and OSV whether a dependency has a known hole
	-@$(INSTALL) pip-audit 2>/dev/null
	@$(BIN)/python .ci/audit.py

pins: $(READY)  ## the table of src/mefuse/pins.py for the weights that are there
	@cd weights && sha256sum *.safetensors | sed -E 's/^(\w+)  (\w+)\..*/    "\2": "\1",/'

clean:  ## removes what was made here, the virtual environment too
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
