# Thin: every target is one of the scripts. FUZZ_SECONDS is per target.
FUZZ_SECONDS ?= 60

.PHONY: help dev build test bench lint asan tsan fuzz nightly clean

help:
	@echo 'make dev      build, and serve on 127.0.0.1:9480 with ./metric-store-data'
	@echo 'make build    build alone'
	@echo 'make test     all tests; lint, asan and tsan alone: make lint, make asan, make tsan'
	@echo 'make bench    the figures of docs/BENCHMARKS.md'
	@echo 'make fuzz     each fuzz target for FUZZ_SECONDS'
	@echo 'make nightly  a million crash states, and what else takes long'
	@echo 'make clean    remove the builds'

dev:
	./scripts/dev

build:
	./scripts/dev --build

test:
	./scripts/test

lint:
	./scripts/lint

asan:
	./scripts/test --only asan

tsan:
	./scripts/test --only tsan

fuzz:
	./scripts/fuzz $(FUZZ_SECONDS)

# A million crash states of random lives, all crashes in recovery, and that every sync is needed.
NIGHTLY_STATES ?= 1000000
nightly:
	./scripts/setup build test
	./scripts/build release --tests
	./scripts/simulate --states $(NIGHTLY_STATES) --calls
	METRIC_STORE_SIM_STRIDE=1 build/release/tests/sim/engine_sim_test
	METRIC_STORE_SIM_STRIDE=1 build/release/tests/sim/damage_sim_test
	./scripts/sync-sites
	./scripts/test --only tsan

clean:
	rm -rf build

# Prints the figures of docs/BENCHMARKS.md. BENCH is options of bench/run.
bench:
	./scripts/build release
	bench/run $(BENCH)
