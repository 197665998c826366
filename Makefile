# Each target is a line or two of plain commands, which the README shows too.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

.PHONY: install
install: .venv/installed ## Make .venv with the pinned packages

.PHONY: demo
demo: install ## Run the main job: sample data, replication, models, reports, checks
	$(BIN)/dvd-rental run

.PHONY: test
test: install ## Run the tests
	$(BIN)/pytest -n auto

.PHONY: dev
dev: install ## Open the asset graph at http://localhost:3000
	$(BIN)/dagster dev

.PHONY: lint
lint: install ## Check style and types of Python and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/sqlfluff lint dbt

.PHONY: format
format: install ## Put Python and SQL in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix dbt

.PHONY: render
render: install ## Write what is generated: dbt's sources, the data model in docs/
	$(BIN)/python -m dvd_rental_pipeline.transform.sources
	$(BIN)/python -m dvd_rental_pipeline.publishing.documentation.data_model
