# Every target does its own set-up: nothing but Python 3.11+ is needed (the real parts of `make test` also want Java 17+ and Maven).
PYTHON ?= python3
DEMO_ARGS ?=
BENCH_ARGS ?=
PROFILE_ARGS ?=
TEST_ARGS ?=
MINUTES ?= 10
REPLICAS ?= 1
ACCOUNTS ?= 12
FUZZ_FACTOR ?= 50

.PHONY: setup demo check test test-deploy fuzz lint bench profile soak compatibility openapi schemas configuration dashboard docs dist

setup: .venv/.complete

.venv/.complete: pyproject.toml uv.lock scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup

demo:
	@PYTHON="$(PYTHON)" scripts/demo $(DEMO_ARGS)

check: setup
	@scripts/check

test: setup
	@scripts/test $(TEST_ARGS)

test-deploy: setup
	@scripts/test tests/deploy $(TEST_ARGS)

fuzz: setup
	@FUZZ_FACTOR=$(FUZZ_FACTOR) .venv/bin/python -m pytest tests/fuzz -q

lint: setup
	@scripts/lint

bench: setup
	@scripts/bench $(BENCH_ARGS)

profile: setup
	@tests/real/install && .venv/bin/python -m benchmarks.profile $(PROFILE_ARGS)

soak: setup
	@.venv/bin/python -m tests.faults.soak --minutes $(MINUTES) --replicas $(REPLICAS) --accounts $(ACCOUNTS)

compatibility: setup
	@.venv/bin/python -m pytest tests/compatibility -q --results $(TEST_ARGS)

openapi: setup
	@.venv/bin/python -m bridge.http.openapi_file > docs/openapi.json

schemas: openapi
	@.venv/bin/python -m bridge.contract

configuration: setup
	@.venv/bin/python -m bridge.settings.configuration_page > docs/configuration.md

dashboard: setup
	@.venv/bin/python -m deploy.grafana.dashboard > deploy/grafana/bridge.json

docs: setup
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

dist: setup
	@scripts/dist
