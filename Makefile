# `make demo` and `make test` need Python 3.11 to 3.13, make and a package registry, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all test-gpu lint bench clean

demo: $(READY)
	$(BIN)/nst demo -o demo

# Without the reordering the long files of tests/integration come first, not last. With a thread each,
# processes of tests do not wait for one another; of three on two cores one mostly waits for others.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST)

test-all: lint
	$(PYTEST) -m ""

# Ten minutes on one card; its last check runs the tests that are marked `gpu`.
test-gpu: $(READY)
	NST_REQUIRE_GPU=1 $(BIN)/python -m tests.gpu.acceptance

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/nst bench

clean:
	rm -rf $(VENV)

# Made anew only when the dependencies may have changed.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: $(PYTHON) is not Python 3.11 to 3.13; try: make PYTHON=python3.12"; exit 1; }
	@echo "installing PyTorch, Ray and the rest into $(VENV), once: a few minutes, without a word;" \
		"on Linux a download of some 5 GB and 7 GB on disk"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@
