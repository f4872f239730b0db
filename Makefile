# Two commands: `make demo` edits a real photo, `make test` runs the checks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out/demo
# --no-compile: Python makes bytecode of what is imported, when it is; of all there is takes a third of the installation's time.
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
PORT ?= 7860

.PHONY: kernels sweep site notebooks third-party check-packages test-lowest audit install install-dev demo studio test test-heavy lint types bench benchmark-docs
.PHONY: controls-docs results-docs real-results clean

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

# The constraints file names the versions that were tested. PyTorch goes first: the CPU build is enough.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev,eval]'
	touch $@

demo: install
	$(BIN)/discontrolface demo --output $(OUT) --overwrite

# The page with the sliders, for this machine's browser: http://127.0.0.1:7860/. PORT=... for another port.
studio: $(VENV)/.installed-studio
	$(BIN)/discontrolface studio --port $(PORT)

$(VENV)/.installed-studio: $(VENV)/.installed
	$(PIP) --editable '.[studio]'
	touch $@

# Types are checked on one core while Numba compiles the kernels on the other: in the tests both processes would compile them, each for itself.
#
# One thread a process: two processes of two threads on two cores wait for each other most of the time. Files stay whole, so that what the tests of a file share
# (photos that were read, networks, drawn pairs) is made by one process and not by both.
test: install-dev
	$(MAKE) --jobs=2 lint types kernels
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

test-heavy: install-dev
	$(BIN)/python -m pytest -q -m heavy

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/reuse lint --quiet

types: install-dev
	$(BIN)/mypy

# A demo, for what it leaves behind: Numba keeps compiled kernels on disk.
kernels: install-dev
	OMP_NUM_THREADS=1 $(BIN)/discontrolface demo --output out/kernels --overwrite

bench: install-dev
	$(BIN)/discontrolface benchmark

# The tables of docs/results.md: some hours on a small machine; stopped, it carries on. RIG: weights of the DiffusionRig baseline, which are not shipped
# (discontrolface train diffusionrig --config baseline_diffusionrig); without them the table has no such row.
comma := ,
METHODS := photo,warp,ours,diffae,one-step,draft,noise,cool-noise$(if $(RIG),$(comma)diffusionrig)
ONE_SHOT := draft,noise,cool-noise,draft-personal,noise-personal
results-docs: install-dev
	mkdir -p out/photos
	cp src/discontrolface/assets/example/*.png out/photos
	$(BIN)/discontrolface evaluate -o out/pairs.json --count 200 --methods $(METHODS) $(if $(RIG),--weights diffusionrig=$(RIG)) --report out/pairs.html --overwrite
	$(BIN)/discontrolface evaluate -o out/one-shot.json --count 8 --methods photo,warp,$(ONE_SHOT) --overwrite
	$(BIN)/discontrolface evaluate out/photos -o out/photo.json --methods photo,warp,$(ONE_SHOT) --overwrite
	$(BIN)/python -m discontrolface.evaluation.results_page docs/results.md --note docs/results-note.md \
		"200 held-out pairs=out/pairs.json" "One-shot fine-tuning, the first 8 pairs=out/one-shot.json" "The example photo=out/photo.json"
	$(BIN)/python scripts/check_report.py out/pairs.html --screenshot docs/report.webp --size 1280x2000 --colours 128

# docs/real-pairs.md, and the model card's figures by group: photos of people with their true results; about 20 minutes on two cores. FACES: a folder with people.csv (docs/data.md says where the
# photographs are). NEW: other weights, in columns of their own. ARCFACE: a face network of nobody's loss (docs/evaluation.md). Portraits of the return pairs are not shown: only the London set may be.
REAL_METHODS := photo,warp,ours,cool-one-step,draft,noise
REAL = $(BIN)/discontrolface evaluate $(FACES) --people $(FACES)/people.csv --only docs/kept-back.txt --methods $(REAL_METHODS) $(if $(NEW),--weights new=$(NEW)) $(if $(ARCFACE),--arcface $(ARCFACE))
real-results: install-dev
	test -n "$(FACES)" || { echo "give FACES=FOLDER, the photographs (docs/data.md)"; exit 1; }
	mkdir -p out
	$(REAL) --pairs real -o out/real.json
	$(REAL) --pairs return -o out/return.json
	$(BIN)/python -m discontrolface.evaluation.results_page docs/real-pairs.md --title "Results on photographs of people" --made-by "make real-results" \
		--note docs/real-pairs-note.md "Real pairs=out/real.json" "Return pairs=out/return.json" --without-pictures "Return pairs"
	$(BIN)/python -m discontrolface.evaluation.model_card docs/model-card.md out/real.json

# The table and plots of docs/benchmark.md, on this machine: run it when nothing else runs. With Chromium also a picture of the page.
benchmark-docs: install-dev
	mkdir -p docs/benchmark out
	$(BIN)/discontrolface benchmark --full-size -o docs/benchmark/results.json --report out/benchmark.html --overwrite
	$(BIN)/python scripts/check_report.py out/benchmark.html --screenshot docs/benchmark/report.png --size 1280x2000 --colours 64

# docs/controls.md, from the table in face/controls.py
controls-docs: install
	$(BIN)/python -m discontrolface.face.controls_page docs/controls.md

# The quick tests with the lowest versions that pyproject.toml allows, in an environment of its own. LOWEST_BUT=torch: as tested, not as low as allowed
# (the lowest PyTorch is a download of gigabytes). LOWEST_TESTS= for all tests.
LOWEST := out/lowest
LOWEST_BUT ?=
LOWEST_EXTRAS := train,reports,eval,studio,video,c2pa,heif
QUICK_TESTS := demo doctor parameters head raster shade images written_as_it_was files nets_golden diffusion_golden editor train report video credentials comfy
LOWEST_TESTS ?= $(QUICK_TESTS:%=tests/test_%.py)
test-lowest: $(LOWEST)/.installed
	NUMBA_CACHE_DIR=$(LOWEST)/numba OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -q -p no:cacheprovider $(LOWEST_TESTS)

$(LOWEST)/.installed: pyproject.toml $(VENV)/.installed-dev
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(BIN)/python scripts/lowest_versions.py $(LOWEST_EXTRAS) --but '$(LOWEST_BUT)' > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(if $(LOWEST_BUT),constraints.txt,$(LOWEST)/constraints.txt) torch
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt --editable '.[$(LOWEST_EXTRAS)]' pytest hypothesis diffusers packaging
	$(LOWEST)/bin/python -m pip check
	touch $@

# docs/third-party.md: every package and file from others with its licence, as pip resolves constraints.txt with all extras
third-party: install-dev
	$(PIP) --upgrade 'pip>=24.3'
	$(BIN)/python scripts/third_party.py

# Wheel and source distribution: built into dist/, each installed in a bare environment in an empty folder, `discontrolface demo` run there.
# QUICK=1: only the wheel is installed (the source distribution must give the same wheel, file by file).
check-packages: $(VENV)/.installed-release
	$(BIN)/python scripts/check_packages.py $(if $(QUICK),--quick)

$(VENV)/.installed-release: $(VENV)/.installed-dev
	$(PIP) --editable '.[release]'
	touch $@

# Known vulnerabilities of what constraints.txt names, by pip-audit in an environment of its own; it asks the registry.
audit:
	test -x out/audit/bin/python || $(PYTHON) -m venv out/audit
	out/audit/bin/python -m pip install --quiet pip-audit
	out/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

# docs/sweep.webp, the moving picture of the README
sweep: install
	$(BIN)/python scripts/sweep.py

# docs/notebooks: run, and the pictures that the site shows of them
notebooks: install-dev
	JUPYTER_PLATFORM_DIRS=1 $(BIN)/python scripts/run_notebooks.py

# the documentation as a site in out/site
site: install-dev
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
