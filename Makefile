# Each target is one or a few plain commands; README.md shows the first two without make, too.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Some machines set it. A command loads a thousand modules: without cached bytecode it starts 7 s later.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.venv/bin/pip:
	$(PYTHON) -m venv .venv

# uv installs in a tenth of pip's time, which does the same where uv cannot be had.
define install
	$(PIP) uv && $(BIN)/uv pip install --quiet -c constraints.txt -e "$(1)" || $(PIP) -e "$(1)"
	touch $@
endef

.venv/installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(call install,.)

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/pip
	$(call install,.[dev])

.PHONY: install
install: .venv/installed-dev ## Install the pinned packages into .venv, with those for development

.PHONY: demo
demo: .venv/installed ## Run the whole graph once: sample data, replication, models, reports, checks
	$(BIN)/dvd-rental run

.PHONY: test
test: install ## Run the tests
	$(BIN)/pytest -n auto

.PHONY: slow
slow: install ## Run the tests that take longer: the gate runs both
	$(BIN)/pytest -n auto -m slow

.PHONY: dev
dev: .venv/installed ## Start the Dagster UI at http://localhost:3000
	$(BIN)/dvd-rental dev

.PHONY: lint
lint: install ## Check style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/sqlfluff lint dbt

.PHONY: format
format: install ## Format Python and SQL
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix dbt

.PHONY: render
render: install ## Write the generated files: dbt's sources, docs/data_model.md
	$(BIN)/python -m dvd_rental_pipeline.pipelines.render
