# SPDX-License-Identifier: Apache-2.0
# Each target does its own set-up: system parts by apt where it may, everything else inside .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo dev test lint faults fuzz mutants bench docs lock ready ready-tests

PYTHON ?= python3
BIN := .venv/bin
DIR ?= .demo/dev
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(if $(UPGRADE),--upgrade)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: ready ## Show the whole story once: signed, denied, verified offline, tampering refused, log verified
	@$(BIN)/python -m signer.dev.demo

dev: ready ## Run an authority on this machine and leave it running (DIR=.demo/dev)
	@$(BIN)/signer dev --dir $(DIR)

test: ready-tests ## Run every gate and every suite; run and skip counts per suite
	@$(BIN)/python -m tests.suites

lint: ready ## Run the gates without the suites: format, lint, types, files of deploy
	@$(BIN)/python -m tests.suites --gates

faults: ready-tests ## Run the long form of the fault suite, and a log of a million leaves through the conformance suite
	@SIGNER_TEST_FAULTS=long $(BIN)/python -m tests.suites faults conformance

fuzz: ready ## Fuzz each way in for ten minutes, two at a time (SECONDS=60 gives each a minute)
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

mutants: ready-tests ## Change the code in 400 places, one at a time, and list each change that no test noticed (COUNT=40 takes fewer)
	@$(BIN)/python -m tests.mutants --count $(or $(COUNT),400)

bench: ready-tests ## Print the reference sum S and the pipeline's ratio to it
	@$(BIN)/python -m bench

docs: ready ## Write the generated reference pages again
	@$(BIN)/python -m docs.generate

lock: ## Resolve requirements/*.txt again from pyproject.toml (UPGRADE=1 takes newer versions)
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT \
	  && $(PYTHON) -m venv "$$tools" && "$$tools/bin/pip" install --quiet uv && PATH="$$tools/bin:$$PATH" \
	  && $(COMPILE) --extra dev --extra aws pyproject.toml -o requirements/dev.txt \
	  && $(COMPILE) --extra server --extra pkcs11 --extra aws --extra keyless --extra postgresql pyproject.toml -o requirements/server.txt \
	  && $(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(COMPILE) - -o requirements/build.txt

ready:
	@$(PYTHON) requirements/prepare.py

ready-tests:
	@$(PYTHON) requirements/prepare.py --tests
