# Property tests and schedules with other examples than `make test` has: random, from a seed that is printed. SEED=123 repeats
# a search. What a search finds becomes an `@example` of its test.
.PHONY: search
search: SEED := $(or $(SEED),$(shell $(PYTHON3) -c 'import secrets; print(secrets.randbits(32))'))
search: build-release build-test-servers
	@echo 'search: SEED=$(SEED)'
	PROPTEST_RNG_SEED=$(SEED) SHUTTLE_RANDOM_SEED=$(SEED) $(PYTHON3) make/cargo_test.py
	HYPOTHESIS_PROFILE=search $(PYTHON) -m pytest $(PARALLEL) -m hypothesis --hypothesis-seed=$(SEED) $(PYTEST)
	@echo 'search: nothing found with SEED=$(SEED)'
