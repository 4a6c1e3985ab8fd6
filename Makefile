# Perceptum's commands; `make help` lists them. Each makes what it needs: nothing is installed by hand.
#
#   make PYTHON=python3.12 ...   another interpreter, 3.11 or newer
#
# torch is pinned in constraints.txt. Which build of it pip takes depends on the package index: PyPI's build for
# Linux brings gigabytes of CUDA packages. For the small CPU build:
#
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
#
# and for one CUDA version, that version's index, e.g. https://download.pytorch.org/whl/cu130

PYTHON ?= python3.11
TORCH_INDEX ?=
export PYTHON TORCH_INDEX

TEST := .venv-test/bin/python
DEMO := .venv-demo/bin/perceptum

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types unit devkit bench system-libs clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: .venv-demo/.installed ## two detectors, two frameworks, one drive: a table and a picture
	@$(DEMO) demo

# an untidy line keeps nobody from seeing what the tests say, whose lines are the last
test: .venv-test/.installed ## every check and every test, on all cores
	@$(MAKE) --no-print-directory --keep-going system-libs lint types unit

lint: .venv-test/.installed ## is the code formatted and tidy?
	@$(TEST) -m ruff format --check
	@$(TEST) -m ruff check

types: .venv-test/.installed ## are the types right (mypy, strict)?
	@$(TEST) -m mypy

unit: .venv-test/.installed ## every test, the slow ones too, on all cores
	@$(TEST) -m pytest -n auto --dist worksteal

devkit: .venv-test/.installed .venv-devkit/.installed ## compare with nuScenes' own devkit, and with av2
	@$(TEST) -m pytest -m devkit

bench: .venv-test/.installed ## measure, and compare with other libraries
	@$(TEST) benchmarks/run.py

system-libs: ## the system libraries of the open3d viewer
	@.ci/system-libs

clean: ## remove what these commands made
	rm -rf .venv-demo .venv-test .venv-devkit .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build out demo
	find . -path './.venv*' -prune -o -name __pycache__ -prune -exec rm -rf {} +

# one environment a group, made again when what it was made from changes
.venv-%/.installed: pyproject.toml constraints.txt hatch_build.py .ci/environment
	@.ci/environment .venv-$* $*
	@touch $@

# this one has versions of its own
.venv-devkit/.installed: constraints-devkit.txt alone-devkit.txt
