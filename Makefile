# Every target works in a bare clone: it creates .venv first, with uv installed through pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := $(VENV)/.demo
UV := $(BIN)/uv

.PHONY: demo torch images space messages test test-browsers test-faults test-images test-nodes test-rollouts test-slow screenshots coverage mutants fuzz check bench clean

demo: $(DEMO)
	$(BIN)/lesionserve demo --out out

# PyTorch beside what the demo needs: to open checkpoints, pack bundles, and serve on a GPU.
torch: $(DEMO)
	$(UV) pip install --python $(BIN)/python --constraint constraints.txt --editable '.[gateway,serve]'

# The folder to push to a Hugging Face Space; docs/deploy/space.md.
SPACE := out/space
space: $(READY)
	$(BIN)/python -m cluster.space.assemble $(SPACE)

# Collects the words of the pages into gateway/locale, and compiles their translations. Needs gettext
# (Debian: gettext). Translate what is empty or fuzzy in the .po files in between; a test finds the rest.
DJANGO := LESIONSERVE_DEBUG=1 $(abspath $(BIN))/python -m gateway.manage
LANGUAGES := es fr pt sw
messages: $(READY)
	cd gateway && $(DJANGO) makemessages --domain django --no-wrap --no-obsolete --add-location file \
		$(addprefix --locale ,$(LANGUAGES))
	cd gateway && $(DJANGO) makemessages --domain djangojs --no-wrap --no-obsolete --add-location file \
		$(addprefix --locale ,$(LANGUAGES))
	cd gateway && $(DJANGO) compilemessages $(addprefix --locale ,$(LANGUAGES))

# Two processes. The tests of a file stay together, since they share what their fixtures start. PyTorch has one
# thread in each: more would wait for one another. Python keeps its bytecode, or hundreds of processes would compile anew.
test: export OMP_NUM_THREADS := 1
test: export PYTHONDONTWRITEBYTECODE :=
test: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive pipeline serve_app gateway cluster
	.ci/audit $(BIN)

# Takes an hour; docs/reliability.md has the results.
test-faults: $(READY)
	$(BIN)/pytest -m faults

# Container images of this checkout, with docker or buildah; cluster/images/build lists its settings.
images:
	cluster/images/build $(IMAGES)

# Builds images on a base made by debootstrap, and runs the Compose installation with them. Needs root, Debian,
# buildah and podman, and 10 GB of disk meanwhile; takes ten minutes.
test-images: $(READY)
	$(BIN)/pytest -m images

# Half an hour, as root: several nodes of Ray in network namespaces; docs/reliability.md has the results.
test-nodes: $(READY)
	$(BIN)/pytest -m nodes tests/nodes

# A few minutes: a candidate beside a running stack, rolled back for its lesions and for hanging.
test-rollouts: $(READY)
	$(BIN)/pytest -m rollouts tests/e2e

# Half an hour: the model watch on a running stack, candidates and drained nodes on Ray clusters, a bundle's
# choice of precision, the demo without a home, and workers of the benchmarks.
test-slow: $(READY)
	$(BIN)/pytest -m slow

# A few minutes: the clinician's page in Firefox, and in WebKit, which is Safari's engine.
test-browsers: $(READY)
	$(BIN)/pytest -m browsers tests/integration/gateway/browsers

# The pictures of the pages in README and docs, which the tests hold to the pages as they are.
screenshots: $(READY)
	SCREENSHOTS=docs/images $(BIN)/pytest -q tests/integration/gateway/test_screenshots.py

# The lines and branches of the gateway that its own tests miss; about ten minutes.
coverage: $(READY)
	mkdir -p out/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/unit/gateway tests/integration/gateway
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The changes of one module (of those in pyproject.toml) that its unit tests do not notice. A minute
# to begin with, and a second for each change; `.venv/bin/mutmut show NAME` shows one.
MODULE := gateway/predict/breaker.py
mutants: $(READY)
	$(BIN)/mutmut run --max-children 1 '$(subst /,.,$(basename $(MODULE))).x*'

# TARGET: decode, multipart, or for model files config, checkpoint or structure.
TARGET := decode
SECONDS := 3600
FUZZER := $(if $(filter config checkpoint structure,$(TARGET)),model_files $(TARGET),$(TARGET))
fuzz: $(READY)
	mkdir -p out
	$(BIN)/python -m tests.fuzz.$(FUZZER) out/corpus-$(TARGET) -max_total_time=$(SECONDS) \
		-rss_limit_mb=2048 -max_len=65536 -timeout=60 -artifact_prefix=out/

bench: $(READY)
	$(BIN)/python -m benchmarks

# What the demo needs, without PyTorch.
$(DEMO): pyproject.toml constraints.txt | $(UV)
	@echo "lesionserve: installing into $(VENV) (0.9 GB; under a minute)"
	$(UV) pip install --python $(BIN)/python --constraint constraints.txt --editable '.[cpu,gateway]'
	@touch $@

# What the tests and all tools need.
$(READY): pyproject.toml constraints.txt | $(UV)
	@echo "lesionserve: installing into $(VENV) (about 6 GB with PyTorch; a few minutes)"
	$(UV) pip install --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $(DEMO) $@

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

clean:
	rm -rf $(VENV) out
