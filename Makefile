# Every target does its own set-up. Only python3 (3.11 or later), python3-venv, make and git must be there before.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all check bench wheel faults clean

RUN := .venv/.ready-run
DEV := .venv/.ready-dev
SETUP := pyproject.toml constraints.txt tools/setup.sh
PY := .venv/bin/python

help:
	@echo 'make demo  [ARGS="--for 60s --report build/report.json"]   the whole line on this machine, with a page'
	@echo 'make test  [ARGS="-k spool"]     everything once, real servers included'
	@echo 'make test-all                    the long ones that "test" leaves out: chaos, many seeds'
	@echo 'make check                       ruff, mypy, house rules'
	@echo 'make bench [ONLY=name,name]      figures against the strongest limit that could be built: build/bench.json'
	@echo 'make faults [SEED=n]             the seeded simulation of failures; SEED replays one'
	@echo 'make wheel                       build/dist/loopgauge-*.whl'
	@echo 'make clean                       removes .venv and build'

# What runs needs less than what tests: whoever only wants the demo does not wait for the tools.
$(RUN): $(SETUP)
	@sh tools/setup.sh edge,cloud,sim
	@touch $@

$(DEV): $(SETUP)
	@sh tools/setup.sh edge,cloud,sim,dev
	@touch $(RUN) $@

demo: $(RUN)
	@.venv/bin/loopgauge demo $(ARGS)

test: $(DEV)
	@sh tools/servers.sh
	@$(PY) -m pytest -m "not chaos and not slow" $(ARGS)

test-all: $(DEV)
	@sh tools/servers.sh
	@$(PY) -m pytest -m "chaos or slow" $(ARGS)

check: $(DEV)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q -m "not slow" tests/rules

bench: $(DEV)
	@$(PY) -m benchmarks.run $(if $(ONLY),--only $(ONLY))

faults: $(DEV)
	@$(if $(SEED),LOOPGAUGE_FAULT_SEED=$(SEED) )$(PY) -m pytest tests/faults $(ARGS)

wheel: $(RUN)
	@rm -rf build/lib build/bdist.* build/dist && mkdir -p build/dist
	@if $(PY) -m pip --version >/dev/null 2>&1; then $(PY) -m pip wheel -q --no-deps -w build/dist .; else uv build -q --wheel -o build/dist .; fi
	@ls build/dist/loopgauge-*.whl

clean:
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache *.egg-info
