# `make demo` and `make test` need nothing but this checkout on a fresh Debian 12 machine, as root or with sudo.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export XDG_CACHE_HOME := $(CURDIR)/.cache

.PHONY: help setup demo demo-down test lint test-unit test-app test-e2e test-full molecule bench bench-install bench-bundle bench-app clean
.DEFAULT_GOAL := help

help:            ## these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' Makefile

setup:           ## what this machine lacks: Docker, Compose, Buildx, the Python environment
	@scripts/setup

demo: setup      ## the main job: a product at the client acme, from one signed file, and the proof
	@scripts/demo

demo-down:       ## remove all of the demo
	@scripts/demo-down

test: lint test-unit test-app molecule test-e2e  ## everything that CI runs

lint: setup      ## style, types, the order of rooms, Ansible
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache
	scripts/lint-ansible

test-unit: setup ## what decides
	@scripts/readers
	pytest -q -n 2 -m 'not e2e' bundle/tests cli/tests

test-app: setup  ## the product
	app/scripts/test

test-e2e: setup  ## what acts: the real install in rehearsals
	@scripts/readers
	pytest -q -n 2 -m 'not full' tests/e2e

molecule: setup  ## each role by itself, and the whole journey, on rehearsed hosts
	scripts/molecule

test-full: setup ## what takes longer than a CI run may: campaigns
	pytest -q -m full tests/e2e
	scripts/fuzz 600
	app/scripts/test -m full

bench: bench-install bench-bundle bench-app  ## all benchmarks, side by side: docs/benchmarks.md

bench-install: setup  ## what an install costs: bytes on the wire, seconds, calls
	@python benchmarks/install/run.py

bench-bundle: setup ## the bundle beside docker save, skopeo and what else is on PATH
	@scripts/readers
	@python benchmarks/bundle/run.py

bench-app: setup ## the product beside its floors
	app/scripts/test --collect-only -q -m full >/dev/null
	app/.venv/bin/python benchmarks/app/bench.py

clean: demo-down ## also the environment and the caches
	rm -rf .venv .cache app/.venv app/wheels .*_cache
