# What the web UI is made of; index.html is what a build writes last.
UI := $(shell find dashboard -type f -not -path '*/node_modules/*' -not -path 'dashboard/dist/*' -not -path 'dashboard/tests/*' -not -path 'dashboard/test-results/*' 2>/dev/null)

.PHONY: help deps dashboard run test test-vm autobahn lint deny bench soak fmt clean

help: ## Shows this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

deps: ## Installs what building and testing need (Debian); does nothing when all is there
	@scripts/install-deps.sh

dashboard: dashboard/dist/index.html ## Builds the web UI with npm; the next build of ten has it inside

dashboard/dist/index.html: $(UI) | deps
	cd dashboard && npm ci && npm run build
	@touch crates/tenement/build.rs

run: deps dashboard ## Builds ten and serves the examples on port 8000; Ctrl-C ends everything
	cargo build --release -p tenement --target-dir target
	cargo build --release --manifest-path examples/hello-rust/Cargo.toml --target-dir examples/hello-rust/target
	exec target/release/ten serve --config examples/tenement.toml --data-dir examples/.data

test: deps dashboard ## Runs every test
	cargo build --release --manifest-path examples/hello-rust/Cargo.toml --target-dir examples/hello-rust/target
	cargo nextest run --workspace --no-fail-fast
	cargo build -p tenement --target-dir target
	cd dashboard && npm run check && TEN=../target/debug/ten npx playwright test
	scripts/schemathesis.sh target/debug/ten 5
	RUSTFLAGS="--cfg loom" cargo test -p tenement-core --lib --target-dir target/loom loom

test-vm: ## Cuts the power of a virtual machine (x86, Debian) under the log store, and under ten; ROUNDS=5 SEED=n
	@scripts/install-deps.sh vm
	cargo build --release -p tenement-logs --example powercut --target-dir target
	cargo build --release -p tenement --target-dir target
	python3 tests/vm/powercut.py --rounds $(or $(ROUNDS),5) $(if $(SEED),--seed $(SEED))
	python3 tests/vm/daemoncut.py --rounds $(or $(ROUNDS),5) $(if $(SEED),--seed $(SEED))

autobahn: ## The WebSocket test suite, directly, through ten and over the API's stack; needs a Python 2.7
	cargo build -p tenement --bin ten --example websocket_echo --target-dir target
	cargo build --release --manifest-path autobahn/echo/Cargo.toml --target-dir target/autobahn/echo
	python3 autobahn/run.py

lint: ## Formatting and clippy, warnings as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## Licences, sources and duplicates of what we depend on
	@scripts/install-deps.sh deny
	cargo fetch --locked -q
	cargo deny --offline --log-level error check bans licenses sources

bench: dashboard ## Measures ten beside nginx and haproxy; see bench/README.md
	@scripts/install-deps.sh bench
	cargo build --release -p tenement --target-dir target
	python3 bench/proxy.py
	python3 bench/wake.py
	python3 bench/restart.py
	cargo build --release --manifest-path autobahn/echo/Cargo.toml --target-dir target/autobahn/echo
	python3 bench/websockets.py
	python3 bench/api.py
	python3 bench/logs.py
	python3 bench/followers.py
	python3 bench/overview.py
	node bench/dashboard.mjs
	python3 bench/upgrade.py
	cargo run --release -p tenement --example token_check --target-dir target

soak: ## Kills the daemon at random moments under load and checks that nothing is lost; SOAK=seconds, KILLS=n
	cargo build --release -p tenement --target-dir target
	python3 bench/soak.py --seconds $(or $(SOAK),600) $(if $(KILLS),--kills $(KILLS))

fmt: ## Formats the code
	cargo fmt --all

clean: ## Removes what was built
	cargo clean
