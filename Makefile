# Every target does its own set-up: nothing but Python 3.11+ is needed (the real parts of `make test` also want Java 17+ and Maven).
PYTHON ?= python3
DEMO_ARGS ?=
TEST_ARGS ?=
MINUTES ?= 10

.PHONY: setup demo test lint bench soak real openapi schemas

setup: .venv/.complete

.venv/.complete: pyproject.toml uv.lock scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup

demo: setup
	@.venv/bin/bridge demo $(DEMO_ARGS)

test: setup
	@scripts/test $(TEST_ARGS)

lint: setup
	@scripts/lint

bench: setup
	@scripts/bench

soak: setup
	@.venv/bin/python -m tests.faults.soak --minutes $(MINUTES)

openapi: setup
	@.venv/bin/python -m bridge.http.document > docs/openapi.json

schemas: openapi
	@.venv/bin/python -m bridge.contract
