# Thin: every target is one of the scripts. FUZZ_SECONDS is per target.
FUZZ_SECONDS ?= 60

.PHONY: dev build test bench lint asan tsan fuzz clean

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
	./scripts/setup build test
	./scripts/build tsan
	meson test -C build/tsan --no-rebuild --print-errorlogs --suite unit

fuzz:
	./scripts/fuzz $(FUZZ_SECONDS)

clean:
	rm -rf build

# Prints the figures of docs/BENCHMARKS.md. BENCH is options of bench/run.
bench:
	./scripts/build release
	bench/run $(BENCH)
