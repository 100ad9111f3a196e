# make reports  regenerates every report from the figures in data/
# make test     runs all tests, the committed notebooks included
# make lab      opens the notebooks in JupyterLab
# make check    checks everything in data/
# make notebooks  runs the committed notebooks anew and keeps their outputs

PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN := .venv/bin

.PHONY: setup reports test lab check notebooks bench evaluate lock clean
setup: .venv/complete

.venv/complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo 'Python 3.11 is needed; name it with: make PYTHON=/path/to/python3.11'; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

reports: setup
	@$(BIN)/iapt report

test: setup
	@$(BIN)/pytest tests
	@$(BIN)/pytest --nbval --nbval-current-env notebooks

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

# reruns the benchmark on public series in an environment of its own, as statsforecast needs older libraries; minutes
evaluate:
	test -x .venv-evaluate/bin/python || $(PYTHON) -m venv .venv-evaluate
	.venv-evaluate/bin/pip install --quiet --disable-pip-version-check -r tests/bench/evaluate.txt
	PYTHONPATH=src .venv-evaluate/bin/python -m iapt.models.evaluate --out data/benchmark.csv

# for maintainers; needs uv
lock:
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet -o requirements.lock

clean:
	rm -rf .venv .venv-evaluate .pytest_cache
