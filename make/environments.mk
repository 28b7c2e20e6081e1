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

# Three tests are about what came with 0.1.5: extended-length Windows paths, their normal form in lists of downloaded files, and
# the list of all names.
NOT_IN_0.1.3 := \
	--deselect tests_py/parity/test_models_parity.py::test_long_windows_paths \
	--deselect tests_py/parity/test_progress_parity.py::test_reports_come_when_the_references_come \
	--deselect tests_py/parity/test_names_parity.py::test_every_name_is_here_or_documented

test-reference-0.1.3: build-release build-test-servers environments $(OLDER)/.requirements-installed
	mkdir -p $(OLDER)/ours
	ln -sfn "$$($(PYTHON) -c 'import rusty_attachments; print(rusty_attachments.__path__[0])')" $(OLDER)/ours/
	PYTHONPATH=$(OLDER)/ours $(OLDER)/bin/python -m pytest $(PARALLEL) $(NOT_IN_0.1.3) tests_py/parity $(PYTEST)

$(OLDER)/.requirements-installed: requirements-dev.txt
	test -x $(OLDER)/bin/python || $(PYTHON3) -m venv $(OLDER)
	sed -e 's/^deadline-job-attachments==.*/deadline-job-attachments==0.1.3/' -e '/^basedpyright/d' requirements-dev.txt > $(OLDER)/requirements.txt
	$(OLDER)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(OLDER)/requirements.txt
	touch $@
