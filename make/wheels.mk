# Wheels that other machines take, and all that a release consists of. They build in .venv-wheels, with zig as the linker.
# WHEELS chooses: manylinux-x86_64 manylinux-aarch64 musllinux-x86_64 sdist
.PHONY: wheels wheels-all wheels-smoke wheels-old-root release

WHEELS ?= manylinux-$(shell uname -m) sdist
ALL_WHEELS := manylinux-x86_64 manylinux-aarch64 musllinux-x86_64 sdist

wheels: $(VENV)-wheels/.requirements-installed
	CARGO_TARGET_DIR='$(TARGET)' $(WHEEL_PYTHON) make/wheels.py --out dist $(WHEELS)
	$(WHEEL_PYTHON) make/check_wheel.py dist/*.whl

wheels-all:
	$(MAKE) wheels WHEELS='$(ALL_WHEELS)'

# Installs the wheel into an empty environment of each CPython that the machine has, beside other native packages.
wheels-smoke:
	$(PYTHON3) make/smoke_wheel.py $(SMOKE) dist/*manylinux*_$(shell uname -m).whl

# The same in the root of an old distribution: as root, with debootstrap. ARCH=arm64 takes that wheel, and qemu-user-static.
ARCH ?= amd64
MACHINE = $(if $(filter arm64,$(ARCH)),aarch64,x86_64)
wheels-old-root:
	CARGO_TARGET_DIR='$(TARGET)' $(PYTHON3) make/old_root.py --arch $(ARCH) '$(TARGET)/bullseye-$(ARCH)' dist/*manylinux*_$(MACHINE).whl

release: $(VENV)-wheels/.requirements-installed
	$(WHEEL_PYTHON) make/release.py check
	rm -rf dist
	$(MAKE) wheels-all
	$(WHEEL_PYTHON) -m twine check --strict dist/*.whl dist/*.tar.gz
	$(WHEEL_PYTHON) make/release.py checksums dist

$(VENV)-wheels/.requirements-installed: make/requirements-wheels.txt
	test -x $(WHEEL_PYTHON) || $(PYTHON3) -m venv $(VENV)-wheels
	$(WHEEL_PYTHON) -m pip install --quiet --disable-pip-version-check --requirement make/requirements-wheels.txt
	touch $@
