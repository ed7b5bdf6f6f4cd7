# One command for each thing people do here; `make help` lists them.
# GNU make 3.81 is enough. How .venv comes about is in deploy/bootstrap.sh.

ONCE ?=
ARGS ?=
UPGRADE ?=

BIN := .venv/bin
COMPILE = $$uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	$(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help bootstrap demo test lint audit fmt lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

bootstrap: ## make .venv from requirements-dev.lock (every command here does so by itself)
	@bash deploy/bootstrap.sh dev

demo: ## everything embedded, with signed traffic; ONCE=1 stops by itself and exits 0 or 1
	@bash deploy/bootstrap.sh run
	@$(BIN)/rosterd demo $(if $(filter-out 0 no false,$(ONCE)),--once) $(ARGS)

# Three processes for a processor, since many tests wait, where pytest-xdist is there and ARGS asks for nothing that it
# takes away.
ALONE := -n% --numprocesses% -s --capture=no --pdb --trace
PARALLEL = $(if $(filter $(ALONE),$(ARGS)),,$$($(BIN)/python -c 'import os, xdist; print("-n", min(8, 3 * os.cpu_count()), "--dist worksteal")' 2>/dev/null))

test: ## pytest in several processes; ARGS="tests/unit -k retry" narrows it, ARGS="-n 0" takes one
	@bash deploy/bootstrap.sh dev
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: ## style, types and layers: all four run, any of them fails it
	@bash deploy/bootstrap.sh dev
	@failed=; \
	$(BIN)/ruff check || failed="$$failed ruff-check"; \
	$(BIN)/ruff format --check || failed="$$failed ruff-format"; \
	$(BIN)/mypy || failed="$$failed mypy"; \
	$(BIN)/lint-imports || failed="$$failed lint-imports"; \
	if [ -n "$$failed" ]; then echo "make lint: failed:$$failed" >&2; exit 1; fi

audit: ## ask for known weaknesses of the packages that rosterd runs with; needs the network
	@bash deploy/bootstrap.sh dev
	@$(BIN)/pip-audit --requirement requirements.lock --disable-pip --no-deps --progress-spinner off

fmt: ## let ruff write what it can
	@bash deploy/bootstrap.sh dev
	@$(BIN)/ruff check --fix; $(BIN)/ruff format

lock: ## write the lock files after a change of dependencies; UPGRADE=1 takes new releases
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	if ! "$$uv" --version >/dev/null 2>&1; then \
		bash deploy/bootstrap.sh dev && $(BIN)/python -I -m pip install --quiet uv || exit 1; \
	fi; \
	$(COMPILE) --group dev pyproject.toml -o requirements-dev.lock && \
	$(COMPILE) --group build -c requirements-dev.lock pyproject.toml -o requirements.lock && \
	$(COMPILE) --group build --extra flower -c requirements-dev.lock pyproject.toml \
		-o requirements-flower.lock

clean: ## remove what the tools left, and .venv
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	@find domain worker tests -name __pycache__ -type d -prune -exec rm -rf {} +
