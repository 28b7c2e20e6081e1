# Formatters, lints, types, documentation. `make --keep-going check` runs all of them, whatever fails.
#
# The commands of cargo name the same targets and features of the workspace as the tests do: what they share, such as
# procedural macros, is compiled once. The feature `python` only adds crates.
CHECKS := check-format check-clippy check-clippy-python check-rustdoc check-ruff check-mypy check-stubs check-licences
.PHONY: check $(CHECKS)

check: $(CHECKS)
	@echo 'check: ok'

check-format:
	cargo fmt --all --check

check-clippy:
	cargo clippy --quiet --workspace --all-targets -- --deny warnings

check-clippy-python:
	cargo clippy --quiet --workspace --all-targets --features python -- --deny warnings

# With the examples, rustdoc reads the dependencies that clippy has compiled.
check-rustdoc:
	RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --no-deps --lib --examples

check-ruff: $(VENV)/.requirements-installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

check-mypy: $(VENV)/.requirements-installed
	$(VENV)/bin/mypy --strict python

# The stubs are compared with the extension module in .venv: after `make develop` its debug build, brought up to date.
check-stubs: $(if $(wildcard $(VENV)/.developed),develop,build-release)
	$(VENV)/bin/stubtest --allowlist make/stubtest.allowlist rusty_attachments._native

check-licences:
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --log-level error check; else \
		echo 'check: cargo-deny is not installed: licences and advisories (deny.toml) were NOT checked'; fi
