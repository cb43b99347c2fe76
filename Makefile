# Everything sets itself up: `make repro` and `make test` work in a fresh checkout.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SERVER := .venv/server/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1

# Of `make faults`: which part of each promise's trials, which part of the promises, and what the seed of both is.
SHARE ?= 1
TESTS ?= 1
SEED ?= 0
# And how many files of tests at a time; 0 is one after the other, undisturbed, as figures are taken.
JOBS ?= 0

# Of `make gpu`: where it trains.
DEVICE ?= cuda

COMPILE := uv pip compile --python-version 3.11 --universal --generate-hashes --no-header --no-annotate --quiet

.PHONY: repro test slow faults check bench gpu gpu-files lock server

repro: $(READY)  ## reproduce the record and print the results
	@dvc repro --keep-going; status=$$?; piecewise sync && echo; \
		piecewise summary --strict || [ $$status -ne 0 ] || status=1; exit $$status

# Two processes on two cores: with threads of their own they would wait for each other.
test: $(READY)  ## the fast tests
	@OMP_NUM_THREADS=1 python -m pytest -q -n 2 --dist loadfile

slow: $(READY)  ## the tests that run whole pipelines and servers, about a quarter of an hour
	@OMP_NUM_THREADS=1 python -m pytest -q -n 2 --dist loadfile -m slow --ignore tests/faults

faults: $(READY)  ## every promise as often as it is made, about two hours; SHARE=0.1 for a tenth
	@OMP_NUM_THREADS=1 python -m pytest -q -m "slow or not slow" tests/faults tests/server/test_faults.py \
		tests/training/test_checkpoint_files.py -n $(JOBS) --dist loadfile --fault-share $(SHARE) \
		--fault-tests $(TESTS) --fault-seed $(SEED)

check: $(READY)  ## style and types
	@ruff check . && ruff format --check . && mypy

bench: $(READY)  ## speed, as ratios to what people would use instead
	@for name in mnist tracking composition sweeps; do python tests/benchmarks/$$name.py || exit; done

# Without $(READY): a machine with a GPU may have another environment, and no network.
gpu: export PYTHONPATH := src:tests:.gpu/site
gpu:  ## what a GPU must do, eight minutes; DEVICE=cpu tries the checks without one
	@if [ -d .gpu/wheels ] && [ ! -d .gpu/site ] && ! python3 -c "import mnist1d, pydantic" 2> /dev/null; then \
		python3 -m pip install --quiet --no-index --no-deps --target .gpu/site .gpu/wheels/*.whl; fi
	@python3 -m gpu.run --device $(DEVICE) --output docs/gpu.md

gpu-files: export PYTHONPATH := tests
gpu-files: $(READY)  ## what `make gpu` needs on a machine without Hydra, MNIST and a network
	@python -m gpu.prepare --collect

lock: $(READY)  ## resolve the dependencies anew
	@$(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	@for name in docker/server docker/store tests/docker/tools; do \
		$(COMPILE) $$name.in --constraint requirements.lock --output-file $$name.lock; done

server: $(READY) $(SERVER)  ## MLflow with PostgreSQL and S3 on this machine, until Ctrl-C
	@piecewise server

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@if [ ! -e .git ]; then $(BIN)/dvc config --quiet --local core.no_scm true; fi
	@touch $(READY)

# The server's packages are in an environment of their own: piecewise speaks to it over HTTP only.
$(SERVER): docker/server.lock docker/store.lock
	@$(PYTHON) -m venv .venv/server
	@.venv/server/bin/python -m pip install --quiet --require-hashes --only-binary :all: $(patsubst %,--requirement %,$^)
	@touch $(SERVER)
