# The verbs of this repository; `make help` lists them. A fresh clone needs no preparation: every verb sets itself up.

ROOM ?=
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.PHONY: help setup demo test matrix chaos check bench docs lock

BIN := .venv/bin
# Whatever of the code there is.
CODE := $(wildcard src tests scripts bench examples)

define FIND_PYTHON
python=
for candidate in $${PYTHON:-} python3 python3.13 python3.12 python3.11; do
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi
done
if [ -z "$$python" ]; then
	echo "make: Homeport needs Python 3.11 or newer, and none was found. Install it, or name it: make PYTHON=/path/to/python3 …" >&2
	exit 1
fi
if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then
	echo "make: $$python has no venv module. On Debian: apt-get install python3-venv" >&2
	exit 1
fi
endef

help: ## list the verbs
	@echo "make VERB, where VERB is one of"
	sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup: ## make .venv with everything that development needs
	@$(FIND_PYTHON)
	"$$python" scripts/set_up.py dev

demo: ## see it work: a registry, three services, a failure and its recovery
	@$(FIND_PYTHON)
	"$$python" scripts/set_up.py demo
	$(BIN)/python -m examples.demo.run $(ARGS)

test: setup ## run the tests, on real servers; one room: ROOM=unit; more for pytest: ARGS="-k watch"
	@case "$(ROOM)" in unit*|typing*) ;; *)
		$(BIN)/python -m tests.servers.install consul dnsmasq etcd etcdctl eureka named || [ "$${CI:-}" != true ];;
	esac
	$(BIN)/python -m tests.run -n 2 $(ARGS) tests/$(ROOM)

matrix: setup ## run every scenario of the contract on every backend in both modes, and print the table (docs/contract-matrix.md)
	@$(BIN)/python -m tests.servers.install consul etcd etcdctl eureka named
	$(BIN)/python -m tests.servers.install kube-apiserver || echo "make matrix: a stand-in takes its place, and the table says so" >&2
	$(BIN)/python -m scripts.matrix $(ARGS)

chaos: setup ## the long runs: a thousand interruptions of watches, of each kind
	@HOMEPORT_INTERRUPTIONS=1000 $(BIN)/python -m pytest -p no:randomly $(ARGS) tests/integration/client/test_interruptions.py

check: setup ## lint, format, types, layers, and the rows of the requirements
	@failed=
	$(BIN)/ruff check . || failed+=" ruff"
	$(BIN)/ruff format --check . || failed+=" format"
	$(BIN)/mypy $(CODE) || failed+=" mypy"
	$(BIN)/lint-imports || failed+=" layers"
	$(BIN)/python scripts/check_rows.py || failed+=" rows"
	if [ -n "$$failed" ]; then echo "make check: failed:$$failed" >&2; exit 1; fi

bench: setup ## measure (the numbers of docs/architecture.md)
	@$(BIN)/python -m tests.servers.install consul dnsperf etcd etcdctl eureka named wrk
	$(BIN)/python -m bench $(ARGS)

docs: setup ## build the documentation into site/
	@$(BIN)/mkdocs build --strict

lock: ## pin the requirements anew; ARGS=--upgrade takes the newest versions
	@$(FIND_PYTHON)
	"$$python" scripts/lock.py $(ARGS)
