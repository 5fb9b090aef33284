# The whole developer interface: run · test · prove · bench · lint.
# Another Python: make run PYTHON=/path/to/python3.12      More test processes: make test WORKERS=8

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$name" && break; done)
WORKERS ?= 2
install = @PYTHON="$(or $(PYTHON),python3)"; command -v "$$PYTHON" >/dev/null \
	|| { echo "Prefloop needs Python 3.11 or newer, and no python3 was found on PATH."; exit 1; }; \
	"$$PYTHON" config/install.py
in_tests = DJANGO_SETTINGS_MODULE=tests.settings .venv/bin/python

.PHONY: run test prove bench lint packages dev-packages programs

run: packages  ## Starts everything at http://127.0.0.1:8000; Ctrl-C stops it
	@exec .venv/bin/python manage.py run

test: dev-packages programs lint  ## Checks the code and runs every test, the browser's included
	@.venv/bin/python -m pytest -n $(WORKERS)

lint: dev-packages  ## Style, types, import contracts, missing migrations
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
	.venv/bin/lint-imports --no-logo
	$(in_tests) -m django makemigrations --check --dry-run

bench: dev-packages  ## Measures; writes dated JSON to docs/results/
	@.venv/bin/python -m bench

prove: dev-packages programs  ## The long proofs; writes dated JSON to docs/results/
	@.venv/bin/python -m bench proofs

packages:
	$(install) run

dev-packages: packages
	$(install) dev

programs: dev-packages
	@.venv/bin/python -m tests.programs
