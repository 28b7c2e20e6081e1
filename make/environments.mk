# Environments beside .venv: packages that pin a version of the reference, which tests run with ours swapped in, and the
# parity suite's own with the version that the worker agent pins. Versions are in the files of requirements.
.PHONY: environments test-reference-0.1.3

environments: $(VENV)-agent/.requirements-installed $(VENV)-deadline/.requirements-installed

test-python: environments

$(VENV)-%/.requirements-installed: tests_py/worker/requirements-%.txt
	test -x $(@D)/bin/python || $(PYTHON3) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# The parity suite once more, against the other version of the reference.
test: test-reference-0.1.3

OLDER := $(VENV)-0.1.3

test-reference-0.1.3: build-release build-test-servers environments $(OLDER)/.requirements-installed
	mkdir -p $(OLDER)/ours
	ln -sfn "$$($(PYTHON) -c 'import rusty_attachments; print(rusty_attachments.__path__[0])')" $(OLDER)/ours/
	PYTHONPATH=$(OLDER)/ours $(OLDER)/bin/python -m pytest $(PARALLEL) tests_py/parity $(PYTEST)

$(OLDER)/.requirements-installed: requirements-dev.txt
	test -x $(OLDER)/bin/python || $(PYTHON3) -m venv $(OLDER)
	sed 's/^deadline-job-attachments==.*/deadline-job-attachments==0.1.3/' requirements-dev.txt > $(OLDER)/requirements.txt
	$(OLDER)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(OLDER)/requirements.txt
	touch $@
