# make up      installs what is missing and starts the platform
# make test    installs what is missing and runs all checks and tests
# make chaos   a hundred trainings while everything around them is killed; takes an hour
# make screens writes pictures of all pages to .screens/
PYTHON ?= python3
TORCH ?= cpu
BIN := .venv/bin

.PHONY: up test chaos screens tests check format docs install clean

up: .venv/.installed
	@exec $(BIN)/minimind up $(ARGS)

test: .venv/.installed
	@tools/browser.sh
	@tools/postgres.sh
	@$(MAKE) --no-print-directory -j2 check tests

screens: .venv/.installed
	@tools/browser.sh
	@$(BIN)/python tests/e2e/take_screens.py $(or $(OUT),.screens)

chaos: .venv/.installed
	@cd tests && ../$(BIN)/python -m chaos $(ARGS)

tests: .venv/.installed
	$(BIN)/python -m pytest $(or $(ARGS),-n logical)

check: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: .venv/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed
	$(BIN)/python -m docs.generate

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt tools/install.sh
	@PYTHON=$(PYTHON) TORCH=$(TORCH) tools/install.sh

clean:
	rm -rf .venv .pytest_cache .ruff_cache
