# Everything from a bare clone: each target makes .venv first, with uv installed through pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-faults fuzz fuzz-model check bench clean

demo: $(READY)
	$(BIN)/lesionserve demo --out out

test: $(READY)
	$(BIN)/pytest

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive pipeline serve_app gateway cluster
	.ci/audit $(BIN)

# The long ones; docs/reliability.md has what they found.
test-faults: $(READY)
	$(BIN)/pytest -m faults tests/faults

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz.decode out/corpus -max_total_time=3600 -rss_limit_mb=2048 \
		-max_len=65536 -timeout=60 -artifact_prefix=out/

# Of a model's files: TARGET is config, checkpoint or structure.
TARGET ?= config
SECONDS ?= 3600
fuzz-model: $(READY)
	mkdir -p out
	$(BIN)/python -m tests.fuzz.model_files $(TARGET) out/corpus-$(TARGET) \
		-max_total_time=$(SECONDS) -rss_limit_mb=2048 -max_len=8192 -timeout=60 -artifact_prefix=out/

bench: $(READY)
	$(BIN)/python -m benchmarks

$(READY): pyproject.toml constraints.txt
	@echo "lesionserve: installing into $(VENV) (about 6 GB with PyTorch; a few minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) out
