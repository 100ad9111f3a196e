# make reports  regenerates every report from the figures in data/
# make test     runs all tests, the committed notebooks included
# make lab      opens the notebooks in JupyterLab
# make check    checks everything in data/
# make notebooks  runs the committed notebooks anew and keeps their outputs

SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c '$(SUITS)' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# an environment that was moved or copied with its checkout belongs to another folder, and is made anew
MOVED := $(shell [ "$$(cat .venv/complete 2>/dev/null)" = "$$(pwd -P)" ] || echo moved)

.PHONY: setup reports test lab check notebooks bench sweep races attack evaluate lock clean moved
setup: .venv/complete

.venv/complete: requirements.lock pyproject.toml $(MOVED)
	@$(or $(PYTHON),false) -c '$(SUITS)' || { echo 'Python 3.11 to 3.14 is needed; name it with: make PYTHON=/path/to/python3'; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt
	$(PIP) --require-hashes -r .venv/uv.txt && $(BIN)/uv pip install --quiet --python $(BIN)/python \
		$$($(BIN)/pip config get global.index-url 2>/dev/null | sed 's/^/--default-index /') \
		--compile-bytecode --require-hashes -r requirements.lock || $(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@pwd -P > $@

reports: setup
	@$(BIN)/iapt report

# tests/conftest.py says how many at a time, and which first
PARALLEL := -n auto
test: setup
	@$(BIN)/pytest $(PARALLEL) --nbval --nbval-current-env tests notebooks

# opens on the README, rendered, and asks for no news
SETTINGS := {"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}}, "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
lab: setup
	@mkdir -p .venv/share/jupyter/lab/settings && echo '$(SETTINGS)' > .venv/share/jupyter/lab/settings/overrides.json
	@$(BIN)/jupyter lab $(LAB) README.md

check: setup
	@$(BIN)/iapt check

notebooks: setup
	@$(BIN)/iapt refresh

bench: setup
	@$(BIN)/python tests/bench/bench_forecast.py
	@$(BIN)/python tests/bench/bench_add.py
	@$(BIN)/python tests/bench/bench_reports.py

# every notebook over a grid of vintages and the corners of its parameters; long
sweep: setup
	@$(BIN)/python tests/bench/sweep.py $(SWEEP)

# edits and kills at random moments of runs, 50 rounds each
races: setup
	@ROUNDS=50 $(BIN)/pytest $(PARALLEL) tests/test_runner.py -k 'random or changed'

# so many tables, descriptions, publications, files and parameters of each kind broken at random; prints how they end
EXAMPLES := 1000
attack: setup
	@IAPT_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -q --no-header tests/test_withstands.py

# reruns the benchmark on public series in an environment of its own, as statsforecast needs older libraries; minutes
evaluate:
	test -x .venv-evaluate/bin/python || $(PYTHON) -m venv .venv-evaluate
	.venv-evaluate/bin/pip install --quiet --disable-pip-version-check -r tests/bench/evaluate.txt
	PYTHONPATH=src .venv-evaluate/bin/python tests/bench/evaluate.py --out data/benchmark.csv

# for maintainers; needs uv
lock:
	uv pip compile pyproject.toml --extra test --extra setup --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet -o requirements.lock

clean:
	rm -rf .venv .venv-evaluate .pytest_cache
