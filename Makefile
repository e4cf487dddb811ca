# Every verb makes its own virtual environment in .venv first, with uv or without it.
# `make` lists the verbs.

PY := .venv/bin/python
# Where that is set, each of the hundreds of processes that tests start compiles anew all that it imports: a second.
unexport PYTHONDONTWRITEBYTECODE
# Workers of the test run, two for a core of a small machine, as tests wait half of their time; PYTEST_ARGS adds anything else, as in `make test PYTEST_ARGS="-k pause -x"`.
TEST_PROCESSES ?= 4
PYTEST_ARGS ?=
DEV_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=
VIDEO ?=
# Whether `make test` runs `make go` too: not when only some tests are asked for.
WITH_GO ?= $(if $(strip $(PYTEST_ARGS)),no,$(if $(shell command -v go),yes,missing))
GO_PART = $(GO_PART_$(WITH_GO))
GO_PART_yes = sh scripts/go_checks || status=$$?;
GO_PART_missing = echo "go isn't on PATH: the tests of the Go SDK were left out.";
GENERATED := docs/states.md src/niyanta/server/store/workloads.sql api/openapi/niyanta-v1.yaml src/niyanta/server/rest/openapi/niyanta-v1.json src/niyanta/server/rest/openapi/niyanta-v1.yaml src/niyanta/client/synchronous.py src/niyanta/wire/v1 sdk/go/grpc/niyantav1 deploy/helm/niyanta/files/dashboards

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test go contract lint format types bench chaos storm simulate mutants verify docs site console package deploy freeze generate lock clean
.PHONY: fuzz oldest supply advisories security

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv ready (every other verb does this first)
	@sh scripts/setup

demo: setup ## kill a worker half way through a transcode, prove that nothing was lost (VIDEO=path)
	@$(PY) -m niyanta.cli.demo

dev: setup ## the whole system on this machine, with the example workloads (DEV_ARGS="--port 0")
	@.venv/bin/niyanta dev $(DEV_ARGS)

test: setup ## all tests, on real PostgreSQL and NATS, and the Go SDK's where go is (PYTEST_ARGS="-k pause" for some)
	@status=0; $(GO_PART) $(PY) -m pytest -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS) || status=$$?; exit $$status

oldest: setup ## tests with the oldest PostgreSQL and packages that are supported (says what can't be had)
	@TEST_PROCESSES=$(TEST_PROCESSES) $(PY) -m scripts.oldest $(PYTEST_ARGS)

go: setup ## the Go SDK: gofmt, vet, staticcheck, its tests, also against a real service
	@sh scripts/go_checks

contract: setup ## ten thousand random requests made from the OpenAPI document (CASES=10000)
	@NIYANTA_CONTRACT_CASES=$(or $(CASES),10000) $(PY) -m pytest tests/api/test_schemathesis.py $(PYTEST_ARGS)

lint: setup ## style, formatting and the import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports

format: setup ## put the code into the form that lint asks for
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

types: setup ## mypy, strict
	@.venv/bin/mypy

bench: setup ## measure throughput, latency and memory; a table, and JSON in bench/results
	@$(PY) -m bench $(BENCH_ARGS)

chaos: setup ## the whole system under faults, its history checked (SEED=1 MINUTES=30, CHAOS_ARGS="--smoke")
	@$(PY) -m chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(CHAOS_ARGS)

storm: setup ## each outage of a broker or a database for a minute, standbys, restores, lost replicas and workers (STORM_SECONDS=60)
	@NIYANTA_STORM_SECONDS=$(or $(STORM_SECONDS),60) NIYANTA_STORM_ROUNDS=10 $(PY) -m pytest -q -s $(PYTEST_ARGS) \
		tests/chaos/test_outages.py tests/chaos/test_replicas.py tests/chaos/test_lost_workers.py \
		tests/chaos/test_failover.py tests/chaos/test_restore.py

simulate: setup ## the leader's decisions on virtual time, with everything going wrong (SEEDS=200; a failure prints its seed)
	@$(PY) -m simulation --seeds $(or $(SEEDS),200) $(SIMULATE_ARGS)

fuzz: setup ## hostile bytes at every decoder (MINUTES=10 for each, NAMES="cursors batches" for some)
	@$(PY) -m fuzz $(if $(MINUTES),--minutes $(MINUTES)) $(FUZZ_ARGS) $(NAMES)

mutants: setup ## take each guard away in a copy of the project: does its test notice? (NAMES="'late event'" for some)
	@$(PY) -m mutants $(NAMES)

generate: setup ## write the generated files anew
	@$(PY) scripts/state_diagram.py
	@$(PY) scripts/state_columns.py
	@$(PY) -m scripts.openapi
	@$(PY) scripts/sync_client.py
	@$(PY) scripts/protobuf.py
	@$(PY) scripts/dashboards.py

verify: generate ## fail when a generated file isn't what its source says
	@git ls-files --error-unmatch $(GENERATED) >/dev/null
	@git diff --exit-code -- $(GENERATED)
	@echo "Generated files are up to date."

site: setup ## build the site of docs/, with references from the code, in build/site/html
	@$(PY) scripts/site.py

console: ## build the web console anew, and fail when what is committed isn't that (left out where Node isn't)
	@sh scripts/console

package: setup ## build wheel and sdist into dist/, and use the wheel alone in a fresh environment and an empty folder
	@$(PY) scripts/package.py

deploy: setup ## check what is in deploy/ with the tools that will read it; says what it can't check here
	@$(PY) scripts/deploy_checks.py

supply: setup ## list what the packages and the image hold, check weaknesses and licences, say what was built from what (KEY=… signs)
	@$(PY) -m supply $(if $(KEY),--key $(KEY))

advisories: setup ## take known weaknesses anew: Go's, with INDEX= the root of a package index Python's, with FROM= a clone of their database
	@$(PY) -m supply renew $(FROM) $(if $(INDEX),--index $(INDEX))

security: setup ## run the tests that attack each promise of docs/security-checks.md, and print what became of it
	@TEST_PROCESSES=$(TEST_PROCESSES) $(PY) scripts/security.py

freeze: setup ## at a release: keep its code for the tests of the next one, which runs beside it
	@$(PY) scripts/freeze_release.py

docs: generate ## write the generated pages anew and check every link
	@$(PY) scripts/check_links.py

lock: setup ## write requirements.lock anew from pyproject.toml (UPGRADE=1 for the newest versions)
	@UPGRADE="$(UPGRADE)" sh scripts/lock

clean: ## remove what the verbs made, except .niyanta (your data)
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist bench/results chaos/results
