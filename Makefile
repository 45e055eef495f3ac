.PHONY: help deps test lint fmt clean

help: ## Shows this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

deps: ## Installs what building and testing need (Debian); does nothing when all is there
	@scripts/install-deps.sh

test: deps ## Runs every test
	cargo nextest run --workspace --no-fail-fast
	RUSTFLAGS="--cfg loom" cargo test -p tenement-core --lib --target-dir target/loom loom

lint: ## Formatting and clippy, warnings as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Formats the code
	cargo fmt --all

clean: ## Removes what was built
	cargo clean
