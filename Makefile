# The whole run in two commands: `make figures` and `make test`. `make` alone prints help.

DATASET ?= drawn-pets
export DATASET SMOKE VGG16_WEIGHTS PRECISION LANGUAGE IMAGE MODEL CLASS CROP
export PYTHONDONTWRITEBYTECODE = 1

BIN := .venv/bin
READY := .venv/ready
RESULTS := results/$(DATASET)$(if $(filter 1,$(SMOKE)),-smoke)
RUN := $(RESULTS)/notebooks
run_of = $(patsubst notebooks/%,$(RUN)/%,$(sort $(wildcard $(addprefix notebooks/,$(1)))))
# Slices of a chest have 10 in place of 08 and 09, which measure what the report says of animals.
STORY := $(if $(filter %-ct,$(DATASET)),0[1-7]_*.ipynb 10_*.ipynb,0[1-9]_*.ipynb 11_*.ipynb)
NOTEBOOKS := $(call run_of,$(STORY))
APPENDIX := $(call run_of,A*.ipynb)
SITE := $(RESULTS)/site/index.html
FIGURES := $(RESULTS)/figures/figure_1.png $(RESULTS)/figures/comparison.png

# A run under other settings is another run, although no file has changed.
SWITCHES := VGG16_WEIGHTS=$(VGG16_WEIGHTS) PRECISION=$(PRECISION) LANGUAGE=$(LANGUAGE)

# Tests are about the defaults, whatever is set outside.
DEFAULTS := DATASET= SMOKE= PRECISION= LANGUAGE= VGG16_WEIGHTS= IMAGE= MODEL= CLASS= CROP=

# One run of a data set at a time: a second one says so and waits.
ALONE = $(BIN)/python -m utils.alone $(RESULTS).lock

.DELETE_ON_ERROR:
.PHONY: help figures figures-alone appendix site explain notebooks test faults kills lint unit smoke lab base \
    benchmark peers publish address clean

help: ## print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  DATASET=dogs-vs-cats or oxford-pets in front runs it on photographs; see README.md"
	@echo "  DATASET=drawn-ct or sarscov2-ct runs 01-07 and 10 on CT slices of the lung"

figures: $(READY) ## run notebooks 01-09 and 11, and draw Figure 1 (what is up to date is not run again)
	@$(ALONE) $(MAKE) --no-print-directory figures-alone

figures-alone:
	@mkdir -p $(RUN) && echo "$(SWITCHES)" | cmp -s - $(RUN)/settings || echo "$(SWITCHES)" > $(RUN)/settings
	@if $(MAKE) -q $(NOTEBOOKS) $(SITE); then echo "Nothing to do, all notebooks are up to date."; \
	else $(MAKE) --no-print-directory $(NOTEBOOKS) $(SITE); fi
	@printf '%s\n' "Figures, in print quality (PNG and PDF):" $(addprefix '  ',$(FIGURES)) \
	    "All notebooks and a gallery of the maps, to open in a browser:" '  $(SITE)'

site: $(SITE) ## the executed notebooks and a gallery of the maps as pages for a browser, without a server

explain: $(READY) ## explain a picture of yours: IMAGE=path, and if you like MODEL=file.keras CLASS=dog CROP=centre
	@$(BIN)/python -m utils.explain

appendix: $(READY) ## run the appendix, from linear models to the saliency map
	@$(ALONE) $(MAKE) --no-print-directory $(APPENDIX)

test: lint ## lint, unit tests, and every notebook on a handful of pictures
	@$(MAKE) -j2 --no-print-directory unit smoke

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

unit: $(READY)
	@$(DEFAULTS) $(BIN)/python -m pytest -q

faults: $(READY) ## break everything that can break, and print what happened (ten minutes)
	@$(DEFAULTS) $(BIN)/python -m pytest -q --faults

kills: $(READY) ## kill a run twenty times at random moments and compare its figures with another's
	@$(BIN)/python -m tests.random_kills $(REFERENCE)

smoke: $(READY)
	@$(BIN)/python -m utils.alone results/smoke.lock sh -c \
	    'rm -rf results/*-smoke data/*-smoke; \
	    $(MAKE) -j1 --no-print-directory $(DEFAULTS) SMOKE=1 DATASET=drawn-pets notebooks appendix site && \
	    $(MAKE) -j1 --no-print-directory $(DEFAULTS) SMOKE=1 DATASET=drawn-ct notebooks site'

notebooks: $(READY)
	@$(ALONE) $(MAKE) --no-print-directory $(NOTEBOOKS)

lab: $(READY) ## open the notebooks in JupyterLab, on this machine only
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 notebooks

base: $(READY) ## draw the scenes and train the base of the drawn sets again (half an hour)
	@$(BIN)/python -m utils.drawn_base

benchmark: $(READY) $(RUN)/02_fine_tune_vgg16.ipynb ## what a map costs, ours and other libraries' (ten minutes)
	@$(BIN)/python -m utils.benchmark

peers: requirements-peers.txt ## install PyTorch, Captum and pytorch-grad-cam on the side, for the benchmark
	@$(BIN)/python -m venv --clear .venv-peers && .venv-peers/bin/pip install --quiet -r $<

publish: ## put the outputs of the default run into notebooks/, and its figures into figures/
	@test $(RUN) = results/drawn-pets/notebooks \
	    || { echo "Only drawn pictures may be published: leave DATASET and SMOKE out."; exit 1; }
	@$(MAKE) --no-print-directory figures appendix
	@$(MAKE) --no-print-directory figures DATASET=drawn-ct
	@cp -p $(NOTEBOOKS) $(APPENDIX) results/drawn-ct/notebooks/10_*.ipynb notebooks/
	@for figure in $$(ls figures) $$(grep -oE 'figures/[a-z_0-9]+\.png' README.md | xargs -n1 basename); do \
	    for run in $(RESULTS) results/drawn-ct; do \
	    test ! -e $$run/figures/$$figure || { cp -p $$run/figures/$$figure figures/; break; }; done; done
	@$(BIN)/python -m utils.readme

address: $(READY) ## tell the notebooks and READMEs where the repository is: REPOSITORY=https://github.com/owner/name
	@REPOSITORY="$(REPOSITORY)" $(BIN)/python -m utils.address

clean: ## remove what the notebooks wrote, but never data or trained networks
	@rm -rf $(RUN) $(RESULTS)/maps $(RESULTS)/figures $(RESULTS)/tables $(RESULTS)/site

# ---------------------------------------------------------------- what each notebook builds on
# With -j, notebooks that put rows into the same table still go one after the other.

rooms = $(patsubst %,utils/%.py,$(1))
DRAWN := $(if $(filter %-ct,$(DATASET)),drawn_chest drawn_ct,drawn_scenes drawn_pets)

$(RUN)/settings:
	@mkdir -p $(@D) && echo "$(SWITCHES)" > $@

$(RUN)/01_download_data.ipynb: $(RUN)/settings $(call rooms,settings progress files images downloads datasets drawn_shapes $(DRAWN) portuguese plotting)
$(RUN)/02_fine_tune_vgg16.ipynb: $(RUN)/01_download_data.ipynb $(call rooms,runtime model evaluation)
$(RUN)/03_saliency_maps.ipynb: $(RUN)/02_fine_tune_vgg16.ipynb $(call rooms,networks attention)
$(RUN)/04_smoothgrad.ipynb: $(RUN)/03_saliency_maps.ipynb
$(RUN)/05_cam.ipynb: $(RUN)/02_fine_tune_vgg16.ipynb $(call rooms,networks attention) \
    | $(RUN)/04_smoothgrad.ipynb
$(RUN)/06_grad_cam.ipynb: $(RUN)/05_cam.ipynb
$(RUN)/07_comparison.ipynb: $(RUN)/04_smoothgrad.ipynb $(RUN)/06_grad_cam.ipynb
$(RUN)/08_more_techniques.ipynb: $(RUN)/07_comparison.ipynb utils/more_techniques.py
$(RUN)/09_evidence.ipynb: $(RUN)/07_comparison.ipynb $(call rooms,evidence planted_cue)
$(RUN)/10_covid_ct.ipynb: $(RUN)/07_comparison.ipynb $(call rooms,segmentation duplicates shortcuts ct_masks evidence)
$(RUN)/11_your_own_picture.ipynb: $(RUN)/05_cam.ipynb $(call rooms,explain drawn_chest drawn_ct)

$(RUN)/A1_from_linear_models_to_saliency.ipynb: $(RUN)/02_fine_tune_vgg16.ipynb \
    $(call rooms,networks attention linear_models)

# Only a notebook without any error takes the old one's place.
$(RUN)/%.ipynb: notebooks/%.ipynb | $(READY)
	@echo "Running $< on $(DATASET) ..."
	@$(BIN)/python -m utils.run_notebook $< $@

# Of the appendix, what has run is shown too.
$(SITE): $(NOTEBOOKS) $(wildcard $(RUN)/A*.ipynb) $(wildcard site/* data/README.md) $(call rooms,gallery site)
	@$(BIN)/python -m utils.site

# ---------------------------------------------------------------- the environment

SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
CANDIDATES := $(PYTHON) python3 python3.12 python3.13 python3.11 python

$(READY): requirements.txt
	@for python in $(CANDIDATES); do $$python -c "$(SUPPORTED)" 2>/dev/null && break; python=; done; \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11, 3.12 or 3.13 with its venv module was found (looked for: $(CANDIDATES))."; \
	    echo "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python"; \
	    exit 1; fi; \
	echo "Installing the packages into .venv, once (about a minute) ..."; \
	$$python -m venv --clear .venv \
	&& $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt > .venv/pip.log 2>&1 \
	|| { tail -n 3 .venv/pip.log; \
	     echo "The packages could not be installed. Look at the network and the disk, then run make again; all that pip said is in .venv/pip.log."; \
	     exit 1; }
	@touch $@
