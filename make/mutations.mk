# The mutation check of the scorecard: takes each safeguard out of a copy of the sources, and the cases that should notice
# must fail. MUTATIONS="--only hash --details" chooses; --patches only sees whether the patches still fit the code.
.PHONY: mutations
mutations: build-release build-test-servers
	$(PYTHON) faults/mutations.py $(MUTATIONS)
