# Each target does its own set-up, in .venv and target/ alone. Needed: a Rust toolchain, CPython >= 3.9, a C compiler, make.
#
#   make demo      takes the standard library of Python through a job, and compares    DEMO="--keep" keeps the copy
#   make test      all tests, of Rust and of Python                                    PYTEST="-k name" chooses
#   make environments  packages that tests run with ours swapped in, each in an environment of its own
#   make check     formatters, lints, types, documentation; --keep-going shows all that fail
#   make search    property tests with random examples, which `make test` has not           SEED=123 repeats one
#   make bench     times of the reference and of this package, side by side
#   make scale     what the cost is of more files and larger ones
#   make faults    the scorecard of injected faults
#   make mutations each safeguard taken away in turn: the scorecard must turn red
#   make wheels    the wheel that other machines take, and the sdist, in dist/     WHEELS="manylinux-aarch64" chooses; wheels-all
#   make release   all of a release in dist/, checked: versions, change log, wheels, sdist, checksums
#   make develop   a quick debug build into .venv; the targets above put the release build back

# Processes that Python tests run in. A file's tests stay together: some share what takes long to make.
PYTEST_WORKERS ?= 4
PARALLEL := -n $(PYTEST_WORKERS) --dist loadfile

# The Python that .venv is made from.
PYTHON3 ?= python3

VENV := $(CURDIR)/.venv
PYTHON := $(VENV)/bin/python
# What build-release builds: manylinux-x86_64, manylinux-aarch64, or `native`, which needs no zig and runs on this system alone.
NATIVE_WHEEL ?= native
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

# Temporary files stay in the clone.
export TMPDIR := $(TARGET)/tmp
$(shell mkdir -p '$(TMPDIR)')

# Directories are among them, so that a removed file counts as a change.
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE make/wheels.py make/repack.py make/third_party.py \
	$(shell find src python -name __pycache__ -prune -o -not -name '*.so' -print)
SERVER_SOURCES := Cargo.toml Cargo.lock $(shell find servers -print)

WHEEL_PYTHON := $(VENV)-wheels/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python develop build-release build-rig build-test-servers clean

help:
	@sed -n '/^#   make/s/^#   //p' Makefile

demo: build-release build-test-servers
	$(PYTHON) demo/run.py --server '$(TARGET)/debug/s3_fs' $(DEMO)

test: test-rust test-python

test-rust:
	$(PYTHON3) make/cargo_test.py $(CARGO_TEST)

test-python: build-release build-test-servers
	$(PYTHON) -m pytest $(PARALLEL) $(PYTEST)

# The wheel that users get, in .venv.
build-release: $(VENV)/.wheel-installed

# The test rig, as `bench` and `faults` want it: fast.
build-rig: $(TARGET)/release/s3_rig

# The servers of the demo and of the Python tests. With the whole workspace and a test, cargo chooses the features of
# dependencies that `cargo test --workspace` chooses, so that nothing is compiled twice.
build-test-servers:
	cargo build --quiet --workspace --bin s3_fs --bin s3_rig --test programs
	cargo build --quiet --features cli --bin rusty-attachments

develop: $(VENV)/.requirements-installed
	rm -f $(VENV)/.wheel-installed
	VIRTUAL_ENV=$(VENV) $(VENV)/bin/maturin develop --quiet
	touch $(VENV)/.developed

clean:
	rm -rf '$(TARGET)' $(VENV) $(VENV)-wheels dist

$(VENV)/.requirements-installed: requirements-dev.txt
	test -x $(PYTHON) || $(PYTHON3) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@

$(VENV)/.wheel-installed: $(VENV)/.requirements-installed $(VENV)-wheels/.requirements-installed $(SOURCES)
	rm -rf '$(TARGET)/wheels' $(VENV)/.developed
	CARGO_TARGET_DIR='$(TARGET)' $(WHEEL_PYTHON) make/wheels.py --out '$(TARGET)/wheels' $(NATIVE_WHEEL)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps '$(TARGET)'/wheels/*.whl
	touch $@

$(TARGET)/release/s3_rig: $(SERVER_SOURCES)
	cargo build --quiet --release --package rusty-attachments-servers --bin s3_rig
	touch $@

-include make/*.mk
