# The scorecard of faults, with a fixed seed. QUICK=1: a part of it, under 50 seconds once built.
# FAULTS="--rows F1,F4 --reference --seed 2" chooses.
.PHONY: faults
faults: build-release build-rig
	QUICK=$(QUICK) $(PYTHON) faults/run.py $(FAULTS)
