# Two commands for a machine that has python3 (3.11 or later), make and git; what else they need, they put into .venv.
#
#   make new DEST=../orders    generate a service, prepare it, and start it
#   make test                  run the tests of this template
#
# make new: ANSWERS=answers.yml holds answers that are then not asked for; START=0 leaves the service prepared, not started.
# make test: ARGS='-k name' goes to pytest.

.PHONY: help new test
.DEFAULT_GOAL := help

PYTHON ?= python3

# As they were typed: a dollar sign in a path is no variable of make's.
override DEST := $(value DEST)
override ANSWERS := $(value ANSWERS)
export PYTHON DEST ANSWERS START

# Tests start hundreds of processes, each of which would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

help:
	@sed '/^$$/q; s/^# \{0,1\}//' Makefile

new:
	@$(PYTHON) -m hooks.bootstrap requirements.txt
	@.venv/bin/python -m hooks.new

test:
	@$(PYTHON) -m hooks.bootstrap requirements-test.txt
	@.venv/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)
