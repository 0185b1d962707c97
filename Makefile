# `make figures` and `make test` are all that most people need; `make` alone prints help.

DATASET ?= drawn-pets
export DATASET LIMIT SMOKE VGG16_WEIGHTS PRECISION LANGUAGE SEEDS IMAGE MODEL CLASS CROP

BIN := .venv/bin
PYTHON_HERE := PYTHONPATH=. $(BIN)/python
READY := .venv/ready
RESULTS := results/$(DATASET)$(if $(filter 1,$(SMOKE)),-smoke)
RUN := $(RESULTS)/notebooks
run_of = $(patsubst notebooks/%,$(RUN)/%,$(sort $(wildcard $(addprefix notebooks/,$(1)))))
SLICES := $(filter %-ct,$(DATASET))
REPORT := $(call run_of,0[1-7]_*.ipynb $(if $(SLICES),,11_*.ipynb))
EVIDENCE := $(call run_of,08_*.ipynb 09_*.ipynb $(if $(filter drawn-pets,$(DATASET)),12_*.ipynb))
COVID := $(call run_of,0[1-7]_*.ipynb 10_*.ipynb)
APPENDIX := $(call run_of,A*.ipynb)
SITE := $(RESULTS)/site/index.html
LIBRARY := site/node_modules/.package-lock.json

# A run under other settings is another run, although no file has changed.
SWITCHES := LIMIT=$(LIMIT) VGG16_WEIGHTS=$(VGG16_WEIGHTS) PRECISION=$(PRECISION) LANGUAGE=$(LANGUAGE)

# Tests are about the defaults, whatever is set outside.
DEFAULTS := DATASET= LIMIT= SMOKE= PRECISION= LANGUAGE= SEEDS= VGG16_WEIGHTS= IMAGE= MODEL= CLASS= CROP=

# One run of a data set at a time: a second one says so and waits.
define alone
	@mkdir -p results; if command -v flock > /dev/null; then \
	    flock -n $(RESULTS).lock true || echo "$(notdir $(RESULTS)) is being made by another run: waiting."; \
	    flock $(RESULTS).lock $(MAKE) --no-print-directory made WANTED="$(1)"; \
	else $(MAKE) --no-print-directory made WANTED="$(1)"; fi
endef

.DELETE_ON_ERROR:
.PHONY: help figures evidence covid all appendix site explain base made test lint unit smoke lab benchmark peers \
    publish clean

help: ## print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  DATASET=dogs-vs-cats or oxford-pets in front runs it on photographs; see README.md"

figures: $(READY) ## the report: run notebooks 01-07 and 11, and draw its Figure 1
	$(call alone,$(REPORT))
	@printf '%s\n' "Figures, in print quality (PNG and PDF):" '  $(RESULTS)/figures/figure_1.png' \
	    '  $(RESULTS)/figures/comparison.png' "The notebooks as they ran:" '  $(RUN)/'

evidence: $(READY) ## what can be trusted: run 08, 09 and 12; SEEDS=10 trains more networks than three
	$(call alone,$(EVIDENCE))
	@printf '%s\n' "The verdicts:" '  $(RESULTS)/figures/claims.png' '  $(RESULTS)/tables/verdicts.csv' "The notebooks as they ran:" '  $(RUN)/'

covid: $(READY) ## slices of a lung: run 01-07 and 10 on DATASET=drawn-ct, or on sarscov2-ct
ifeq ($(SLICES),)
	@$(MAKE) --no-print-directory covid DATASET=drawn-ct
else
	$(call alone,$(COVID))
	@printf '%s\n' "The maps of slices:" '  $(RESULTS)/figures/covid_ct.png' "The notebooks as they ran:" '  $(RUN)/'
endif

appendix: $(READY) ## run A1, from linear models to the saliency map
	$(call alone,$(APPENDIX))
	@printf '%s\n' "The notebook as it ran:" $(addprefix '  ',$(APPENDIX))

all: figures evidence appendix site covid ## everything

site: $(READY) ## all that has run as pages for a browser, with a gallery, and a live page for pictures of yours
	$(call alone,$(REPORT) $(SITE))

# By default the networks that come with this; those trained on a data set, if one is named.
explain: export MODEL := $(or $(MODEL),$(if $(filter file,$(origin DATASET)),photographs))
explain: $(READY) ## explain pictures of yours: IMAGE=path, and if you like CLASS=dog CROP=centre MODEL=file.keras
	@$(PYTHON_HERE) notebooks/own_picture.py

base: $(READY) ## VGG-16 from random weights, on the photographs of DATASET: wants a GPU; EPOCHS=10 for less
	@$(PYTHON_HERE) -m data.base

made:
	@mkdir -p $(RUN) && echo "$(SWITCHES)" | cmp -s - $(RUN)/settings || echo "$(SWITCHES)" > $(RUN)/settings
	@echo "$(SEEDS)" | cmp -s - $(RUN)/seeds || echo "$(SEEDS)" > $(RUN)/seeds
	@if $(MAKE) -q $(WANTED); then echo "Nothing to do, all is up to date."; \
	else $(MAKE) -s -j1 --no-print-directory $(WANTED); fi

test: lint $(LIBRARY) ## lint, unit tests, and every notebook on a handful of pictures
	@$(MAKE) -j2 --no-print-directory unit smoke

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

unit: $(READY)
	@$(DEFAULTS) $(BIN)/python -m pytest -q

smoke: $(READY)
	@rm -rf results/*-smoke data/*-smoke
	@$(MAKE) -j1 --no-print-directory $(DEFAULTS) SMOKE=1 DATASET=drawn-pets figures evidence appendix site
	@$(MAKE) -j1 --no-print-directory $(DEFAULTS) SMOKE=1 DATASET=drawn-ct covid

lab: $(READY) ## open the notebooks in JupyterLab, on this machine only
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 notebooks

benchmark: $(READY) $(RUN)/02_fine_tune_vgg16.ipynb ## what a map costs, ours and other libraries' (ten minutes)
	@$(PYTHON_HERE) benchmarks/run.py

peers: requirements-peers.txt ## install PyTorch, Captum and pytorch-grad-cam on the side, for the benchmark
	@$(BIN)/python -m venv --clear .venv-peers && .venv-peers/bin/pip install --quiet -r $<

ifeq ($(RESULTS),results/dogs-vs-cats)
publish: figures evidence # of photographs only numbers may be published
	@cp -p $(RESULTS)/tables/summary.csv figures/photographs.csv
	@cp -p $(RESULTS)/tables/verdicts.csv figures/photographs_verdicts.csv
else
publish: ## put the outputs of the default run into notebooks/, and its figures into figures/
	@test $(RUN) = results/drawn-pets/notebooks \
	    || { echo "Only drawn pictures may be published: leave DATASET and SMOKE out."; exit 1; }
	@$(MAKE) --no-print-directory figures evidence appendix covid
	@cp -p $(REPORT) $(EVIDENCE) $(APPENDIX) results/drawn-ct/notebooks/10_*.ipynb notebooks/
	@cp -p $(addprefix $(RESULTS)/figures/,figure_1.png comparison.png your_own_picture.png claims.png planted_cue.png) \
	    $(addprefix $(RESULTS)/tables/,verdicts.csv trust.csv cue.csv) $(RESULTS)/maps/cue.npz \
	    results/drawn-ct/figures/covid_ct.png figures/
endif

clean: ## remove what the notebooks wrote, but never data or trained networks
	@rm -rf $(RUN) $(RESULTS)/maps $(RESULTS)/figures $(RESULTS)/tables $(RESULTS)/kept $(RESULTS)/site

# ---------------------------------------------------------------- what each notebook builds on
# With -j, notebooks that put rows into the same table still go one after the other.

$(RUN)/settings:
	@mkdir -p $(RUN) && echo "$(SWITCHES)" > $@

$(RUN)/seeds:
	@mkdir -p $(RUN) && echo "$(SEEDS)" > $@

$(RUN)/01_download_data.ipynb: $(RUN)/settings $(wildcard utils/*.py data/*.py data/drawing/*.py)
$(RUN)/02_fine_tune_vgg16.ipynb: $(RUN)/01_download_data.ipynb
$(RUN)/03_saliency_maps.ipynb: $(RUN)/02_fine_tune_vgg16.ipynb
$(RUN)/04_smoothgrad.ipynb: $(RUN)/03_saliency_maps.ipynb
$(RUN)/05_cam.ipynb: $(RUN)/02_fine_tune_vgg16.ipynb | $(RUN)/04_smoothgrad.ipynb
$(RUN)/06_grad_cam.ipynb: $(RUN)/05_cam.ipynb
$(RUN)/07_comparison.ipynb: $(RUN)/04_smoothgrad.ipynb $(RUN)/06_grad_cam.ipynb
$(addprefix $(RUN)/,04_smoothgrad.ipynb 05_cam.ipynb 07_comparison.ipynb): $(wildcard figures/photographs.csv)
$(RUN)/08_more_techniques.ipynb: $(RUN)/07_comparison.ipynb notebooks/more_techniques.py
$(RUN)/09_evidence.ipynb: $(RUN)/07_comparison.ipynb notebooks/evidence.py $(RUN)/seeds $(wildcard figures/*verdicts.csv)
$(RUN)/12_can_maps_be_trusted.ipynb: $(RUN)/08_more_techniques.ipynb notebooks/trust.py $(RUN)/seeds \
    | $(RUN)/09_evidence.ipynb
$(RUN)/10_covid_ct.ipynb: $(RUN)/07_comparison.ipynb $(wildcard notebooks/covid/*.py)
$(RUN)/11_your_own_picture.ipynb: $(RUN)/settings $(wildcard notebooks/own_picture.py notebooks/familiar.py \
    notebooks/keras_files.py utils/*.py data/*.py data/*.npz data/drawing/*.py)
$(RUN)/A1_from_linear_models_to_saliency.ipynb: $(RUN)/02_fine_tune_vgg16.ipynb notebooks/linear_models.py

# Only a notebook without any error takes the old one's place. What nbconvert itself says goes into a log.
$(RUN)/%.ipynb: notebooks/%.ipynb notebooks/nbconvert_config.py | $(READY)
	@echo "$< on $(DATASET) ..."; mkdir -p $(RUN)/unfinished
	@$(BIN)/python -m nbconvert --config notebooks/nbconvert_config.py --to notebook --execute $< \
	    --output-dir $(RUN)/unfinished 2> $(RUN)/unfinished/$*.log \
	    || { echo "$< did not end; all that was said is in $(RUN)/unfinished/$*.log"; exit 1; }
	@mv $(RUN)/unfinished/$(@F) $@ && rm $(RUN)/unfinished/$*.log

$(SITE): $(wildcard $(RUN)/*.ipynb site/*.* data/README.md) $(LIBRARY)
	@$(PYTHON_HERE) site/build.py

# Without npm or a network there is no such file: the site is then made without the page that needs it, and says so.
$(LIBRARY): site/package.json
	@cd site && npm install --ignore-scripts --no-package-lock --no-audit --no-fund > /dev/null 2>&1 \
	    && touch node_modules/.package-lock.json || true

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
