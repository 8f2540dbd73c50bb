# `make demo` and `make test` are all that a newcomer needs; CI runs `make test`.
PYTHON ?= python3.11
VENV := $(or $(shell sh scripts/python.sh),$(error no Python: scripts/python.sh says why))
READY := .venv/.ready
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' lightner/__init__.py)
EXTRAS := client,log,pretrain,ray,spacy
TORCH := torch==2.13.0

.PHONY: demo test fast check docs cluster-check wheel dist images format clean

demo: $(READY)  ## tune two example domains on a local Ray, serve both, query them
	$(VENV) scripts/demo.py

# Reordered, files of one long test would come last, each with the other core idle.
test: check  ## everything that CI runs
	sh scripts/chromium.sh
	$(VENV) -m pytest -n 2 --dist loadfile -m "not (ray or s3 or browser)"
	$(VENV) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "ray or s3 or browser"

fast: $(READY)  ## the tests that start no server
	$(VENV) -m pytest -x -q -n 2 --dist loadfile -m "not (ray or s3 or browser)"

check: docs  ## style, types, links and anchors of the documentation
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy

# Not --quiet: with it MkDocs counts no warnings, so that --strict refuses nothing.
docs: $(READY)  ## the documentation site, in build/site; needs no network
	NO_MKDOCS_2_WARNING=1 $(VENV) -m mkdocs build --strict

cluster-check: $(READY)  ## all that is applied to a cluster, offline; KUBERAY_CRDS=folder adds KubeRay's own schemas
	$(VENV) -m scripts.cluster_check $(if $(KUBERAY_CRDS),--kuberay-crds $(KUBERAY_CRDS))

wheel: $(READY)  ## the package as one file, in dist/
	rm -rf build dist
	$(VENV) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

# What the wheel installs is seen where nothing else is installed: not even pip.
dist: wheel  ## the wheel, an sdist, and a bill of materials of the wheel with all extras, in dist/; needs a package registry
	$(VENV) -m build --sdist --no-isolation --outdir dist .
	$(VENV) -m venv --without-pip build/installed
	$(VENV) -m pip --python build/installed install --quiet --disable-pip-version-check $(TORCH)
	$(VENV) -m pip --python build/installed install --quiet --disable-pip-version-check --constraint requirements.txt \
		--find-links dist "lightner-ray[$(EXTRAS)]==$(VERSION)"
	$(VENV) -m scripts.bill build/installed/bin/python dist/lightner_ray-$(VERSION).cdx.json
	rm -rf build/installed

images:  ## for compose.yaml and Kubernetes, both with the wheel alone
	docker build -f cluster/Dockerfile.cpu -t lightner-cpu:$(VERSION) .
	docker build -f cluster/Dockerfile.gpu -t lightner-gpu:$(VERSION) .

format: $(READY)
	$(VENV) -m ruff check --fix .
	$(VENV) -m ruff format .

# torch comes first and alone: pinned, so that no other package asks for another build of it. The frozen list comes without
# what else its packages ask for: cyclonedx-bom wants rfc3987-syntax, which jsonschema then loads, and Ray loads jsonschema;
# each process of Ray started a second later for it.
$(READY): requirements.txt pyproject.toml
	command -v $(PYTHON) >/dev/null || { echo "found no $(PYTHON), expected Python 3.11 (make PYTHON=... names another)"; exit 1; }
	test -x $(VENV) || $(PYTHON) -m venv .venv
	$(VENV) -m pip install --quiet --disable-pip-version-check --no-compile $(TORCH)
	$(VENV) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.txt
	-$(VENV) -m compileall -qq -j 0 .venv/lib  # pip would use one core; packages bring files that are no Python, too
	$(VENV) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(VENV) -m pip check --disable-pip-version-check
	touch $(READY)

clean:
	rm -rf .venv build demo-out dist
