# Every target does its own set-up. Only python3 (3.11 or later), python3-venv, make and git must be there before.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all check bench wheel wheelhouse lint-deploy faults faults-soak faults-hunt chaos-soak lab clean

RUN := .venv/.ready-run
DEV := .venv/.ready-dev
SETUP := pyproject.toml constraints.txt tools/setup.sh
PY := .venv/bin/python
DEPLOY := .venv-deploy/.ready
ANSIBLE := $(CURDIR)/.venv-deploy/bin
# Tests at once: as many as there are processors. JOBS=0 runs them one after the other in a single process, as a debugger
# wants it.
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 8 ? n : 8)))
# Tests start hundreds of programs, which need not compile themselves each time, whatever the caller's shell says.
export PYTHONDONTWRITEBYTECODE :=
PLATFORM ?=
DIST ?= build/dist

help:
	@echo 'make demo  [ARGS="--for 60s --report build/report.json"]   the whole line on this machine, with a page'
	@echo 'make test  [ARGS="-k spool" JOBS=4]   everything once, real servers included'
	@echo 'make test-all                    the long ones that "test" leaves out: chaos, many seeds'
	@echo 'make check                       ruff, mypy, house rules, ansible-lint'
	@echo 'make bench [ONLY=name,name]      figures against the strongest limit that could be built: build/bench.json'
	@echo 'make faults [SEED=n]             the seeded simulation of failures; SEED replays one'
	@echo 'make faults-soak [FROM=n]        seed after seed until stopped; one that fails is named, and left in build/faults'
	@echo 'make faults-hunt [ARGS=name]     how many seeds find each planted bug; goes on where it was stopped'
	@echo 'make chaos-soak [MINUTES=60 SEED=n STORE=sqlite]   real servers and gateways in a storm of faults, then exact comparison'
	@echo 'make wheel                       build/dist/loopgauge-*.whl'
	@echo 'make wheelhouse [PLATFORM=arm64]   build/wheelhouse: the wheel and all that it needs, for hosts without a network'
	@echo 'make lint-deploy                 ansible-lint and the syntax of every playbook'
	@echo 'make lab [STEP=name,name KEEP=1]   the playbooks on real hosts in containers of this machine, and their faults; as root'
	@echo 'make clean                       removes .venv and build'

# What runs needs less than what tests: whoever only wants the demo does not wait for the tools.
$(RUN): $(SETUP)
	@sh tools/setup.sh edge,cloud,sim
	@touch $@

$(DEV): $(SETUP)
	@sh tools/setup.sh edge,cloud,sim,dev
	@touch $(RUN) $@

$(DEPLOY): deploy/ansible/constraints.txt tools/setup_deploy.sh
	@sh tools/setup_deploy.sh
	@touch $@

demo: $(RUN)
	@.venv/bin/loopgauge demo $(ARGS)

test: $(DEV)
	@sh tools/servers.sh
	@$(PY) -m pytest -n $(JOBS) -m "not chaos and not slow" $(ARGS)

test-all: $(DEV) $(DEPLOY)
	@sh tools/servers.sh
	@$(PY) -m pytest -n $(JOBS) -m "chaos or slow" --durations=20 $(ARGS)

check: $(DEV) lint-deploy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q -m "not slow" tests/rules

bench: $(DEV)
	@$(PY) -m benchmarks.run $(if $(ONLY),--only $(ONLY))

faults: $(DEV)
	@$(if $(SEED),LOOPGAUGE_FAULT_SEED=$(SEED) )$(PY) -m pytest tests/faults $(if $(SEED),-k whatever_happens )$(ARGS)

faults-soak: $(DEV)
	@$(PY) -m tests.faults.run $(or $(FROM),1000)

faults-hunt: $(DEV)
	@$(PY) -m tests.faults.hunt $(ARGS)

chaos-soak: $(DEV)
	@sh tools/servers.sh
	@$(PY) -m tests.chaos.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(STORE),--store $(STORE))

wheel: $(RUN)
	@rm -rf build/lib build/bdist.* $(DIST)/loopgauge-*.whl && mkdir -p $(DIST)
	@if $(PY) -m pip --version >/dev/null 2>&1; then $(PY) -m pip wheel -q --no-deps -w $(DIST) .; else uv build -q --wheel -o $(DIST) .; fi
	@ls $(DIST)/loopgauge-*.whl

# The same source gives the same wheel, byte for byte: a host tells by it whether a version is what it has.
wheelhouse: $(RUN)
	@SOURCE_DATE_EPOCH=315532800 $(MAKE) --no-print-directory wheel DIST=build/dist
	@PLATFORM=$(PLATFORM) sh tools/wheelhouse.sh build/dist/loopgauge-*.whl

lint-deploy: $(DEPLOY)
	@cd deploy/ansible && PATH="$(ANSIBLE):$$PATH" LC_ALL=C.UTF-8 ansible-lint
	@cd deploy/ansible && for playbook in playbooks/*.yml; do LC_ALL=C.UTF-8 $(ANSIBLE)/ansible-playbook --syntax-check $$playbook || exit 1; done

# KEEP=1 leaves the hosts up, KEPT=1 goes through STEP=… on such a lab, DOWN=1 takes it away.
lab: $(DEV) $(DEPLOY)
	@$(if $(KEPT)$(DOWN),:,$(MAKE) --no-print-directory wheelhouse)
	@$(PY) -m tests.lab.run $(if $(STEP),--steps $(STEP)) $(if $(KEEP),--keep) $(if $(KEPT),--kept) $(if $(DOWN),--down)

clean:
	rm -rf .venv .venv-deploy build .pytest_cache .mypy_cache .ruff_cache *.egg-info
