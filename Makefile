# make demo    a server, a viewer and two cines at 25 FPS, in an environment with only what serving needs
# make test    the full environment, then lint, types and all tests
PYTHON ?= python3
VENV := .venv
DEMO_VENV := .venv-demo
PIP_FLAGS := --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint format clean

demo: $(DEMO_VENV)/installed
	$(DEMO_VENV)/bin/fetalseg demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

test: $(VENV)/installed lint
	$(VENV)/bin/python -m pytest

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/installed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

$(DEMO_VENV)/installed: pyproject.toml constraints.txt
	$(call environment,$(DEMO_VENV),cpu$(comma)dicom$(comma)server)

$(VENV)/installed: pyproject.toml constraints.txt
	$(call environment,$(VENV),dev)

comma := ,

# $(1) the folder, $(2) the extras
define environment
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "fetalseg needs Python 3.11 or newer, this is %d.%d; set PYTHON=/path/to/python3.11" % v[:2])'
	@echo "Installing fetalseg[$(2)] into $(1) ..."
	$(PYTHON) -m venv $(1)
	$(1)/bin/pip install $(PIP_FLAGS) --editable ".[$(2)]"
	@touch $@
endef

clean:
	rm -rf $(VENV) $(DEMO_VENV) dist build .mypy_cache .pytest_cache .ruff_cache
