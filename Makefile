# The front door. Every target sets up .venv first if it must; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
READY_TO_TEST := .venv/ready-to-test

## DATA      file or folder with faces (empty: drawn faces)
## PROFILE   quick, compact or seed (notebooks/profiles; empty: quick, on FER2013 compact)
## LANGUAGE  zh-TW, en or both (one page with a switch, two PDFs)
## FORM      full or short (a PDF of a few pages, hw3-report-short.pdf)
DATA ?=
PROFILE ?=
FORM ?= full
# Desktops set LANGUAGE to their own (en_GB:en): only the command line counts.
ifneq ($(origin LANGUAGE),command line)
LANGUAGE := zh-TW
endif

# Title block: 'make report STUDENT_NAME=...'; $(value ...) keeps a $ in a name as it is.
TITLE_KEYS := student_id department name collaborators.q1 collaborators.q2 collaborators.q3 collaborators.q4 collaborators.q5
TITLE_VARIABLES := STUDENT_ID DEPARTMENT STUDENT_NAME COLLABORATORS_Q1 COLLABORATORS_Q2 COLLABORATORS_Q3 COLLABORATORS_Q4 COLLABORATORS_Q5

# What make sweep takes beside the data and the language.
SWEEP_OPTIONS := SWEEP QUICK DRY_RUN WORKERS SCHEDULER TIMEOUT MEMORY
switch = $(if $(filter-out 0,$(value $(1))),$(2))
option = $(if $(value $(1)),$(2) $(call quoted,$(1)))

# Everything else on the command line in capitals is a parameter of the notebooks: 'make report EPOCHS=3'.
OWN := DATA PROFILE LANGUAGE FORM PYTHON $(TITLE_VARIABLES) $(SWEEP_OPTIONS)
GIVEN := $(foreach name,$(filter-out $(OWN) MAKE% MFLAGS SHELL,$(.VARIABLES)),$(if $(filter command%,$(origin $(name))),$(name)))
quoted = '$(subst ','\'',$(value $(1)))'
SETTINGS = $(foreach name,$(GIVEN),--set $(name)=$(call quoted,$(name)))
TITLE = $(foreach i,1 2 3 4 5 6 7 8,$(call title,$(word $(i),$(TITLE_KEYS)),$(word $(i),$(TITLE_VARIABLES))))
title = $(if $(filter undefined,$(origin $(2))),,--title $(1)=$(call quoted,$(2)))

# What a target would not look at is refused: 'make verify EPOCHS=3' repeats the last report as it was made.
TAKEN_report := $(filter-out $(SWEEP_OPTIONS),$(OWN)) SWEEP $(GIVEN)
TAKEN_verify := DATA
TAKEN_sweep := $(filter-out FORM $(TITLE_VARIABLES),$(OWN)) $(GIVEN)
ASKED := $(foreach name,$(OWN) $(GIVEN),$(if $(filter command%,$(origin $(name))),$(name)))
UNUSED := $(filter-out PYTHON $(foreach goal,$(MAKECMDGOALS),$(TAKEN_$(goal))),$(ASKED))
ifneq ($(and $(filter report sweep verify,$(MAKECMDGOALS)),$(UNUSED)),)
$(error make $(MAKECMDGOALS) takes no $(UNUSED); `make help` lists the variables)
endif

benchmarks = $(filter-out benchmarks/page.py,$(wildcard benchmarks/$(1).py))

# A .venv that was copied or renamed with its folder, or whose Python was replaced, is set up anew.
ifneq ($(shell .venv/bin/python -c 'import pip' 2>/dev/null && cat $(READY)),$(CURDIR)/.venv)
.PHONY: $(READY)
endif

.PHONY: help setup report verify sweep test bench lab lint clean

help:  ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20
	@echo "Variables of make report:"
	@sed -n 's/^## /  /p' Makefile
	@echo "  STUDENT_ID DEPARTMENT STUDENT_NAME COLLABORATORS_Q1 ... _Q5   title block (or report/title.yaml)"
	@echo "  SWEEP=sweeps/...   a finished sweep to show, and any parameter of the notebooks, such as EPOCHS=3"
	@echo "Variables of make sweep:"
	@echo "  SWEEP=notebooks/sweeps/...yaml DATA LANGUAGE QUICK=1 DRY_RUN=1 WORKERS=2 SCHEDULER=tcp://... TIMEOUT=seconds MEMORY=GiB"

setup: $(READY)  ## Set up .venv (the other targets do it by themselves)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) tools/bootstrap.py

$(READY_TO_TEST): $(READY) requirements-test.txt
	@$(BIN)/python tools/bootstrap.py requirements-test.txt $@

report: $(READY)  ## Run what is stale, write report/build/hw3-report.html and .pdf
	@$(BIN)/fer-lib report --data $(call quoted,DATA) --profile $(call quoted,PROFILE) --language $(call quoted,LANGUAGE) --form $(call quoted,FORM) $(if $(value SWEEP),--set SWEEP=$(call quoted,SWEEP)) $(SETTINGS) $(TITLE)

sweep: $(READY)  ## Run a notebook over many parameters, write a leaderboard
	@$(BIN)/fer-lib sweep $(call quoted,SWEEP) --data $(call quoted,DATA) --language $(call quoted,LANGUAGE) \
	$(call switch,QUICK,--quick) $(call switch,DRY_RUN,--dry-run) $(call option,WORKERS,--workers) $(call option,SCHEDULER,--scheduler) \
	$(call option,TIMEOUT,--timeout) $(call option,MEMORY,--memory) $(if $(filter command%,$(origin PROFILE)),--set PROFILE=$(call quoted,PROFILE)) $(SETTINGS)

verify: $(READY)  ## Run the last report's notebooks again, training too, and compare all numbers (report/tolerances.yaml)
	@$(BIN)/fer-lib verify --data $(call quoted,DATA)

test: $(READY_TO_TEST)  ## All tests that need no GPU (those on real faces where ../shared/data has them)
	@$(BIN)/python -m pytest -q

bench: $(READY_TO_TEST)  ## Measure docs/performance.md anew (BENCH=reading: one section of it)
	@for script in $(or $(call benchmarks,$(or $(BENCH),*)),$(error there is no benchmark $(BENCH); there are $(patsubst benchmarks/%.py,%,$(call benchmarks,*)))); do \
	    $(BIN)/python $$script || exit 1; done

lab: $(READY)  ## JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

lint: $(READY_TO_TEST)  ## ruff, mypy, import-linter, notebook hygiene
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/notebook_hygiene.py

clean:  ## Remove what the report builds; trained runs stay in runs/
	rm -rf report/build
