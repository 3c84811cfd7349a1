# The commands of this repository. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make run takes NODES=2 BIND=127.0.0.1 HTTPS_PORT=8443 HTTP_PORT=8080 STATS_PORT=8404 NODE_PORT=3001"
	@echo "ADMIN_PORT=9001 REDIS_PORT=6390, as in: make run NODES=4 HTTPS_PORT=9443"

setup: ## install what run, check and test need and this machine lacks (apt packages as root, a Rust target, cargo-deny)
	@haproxy/setup.sh test

run: ## Redis, two nodes and HAProxy on this machine, proved by a message each way; Ctrl-C ends all of it
	@haproxy/cluster.sh

check: ## formatting, lints, dependencies, and that protocol and core build without std
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny check bans licenses sources
	cargo build -p moorline-protocol -p moorline-core --target x86_64-unknown-none

bench: ## moorline beside Socket.IO from npm: CPU, memory, latency (about 5 minutes; QUICK=1: under one)
	@haproxy/setup.sh test
	cargo build --release -p moorline -p moorline-load
	cd tests/load/peer && npm ci --no-audit --no-fund
	target/release/moorline-load $(if $(QUICK),--quick)

test: setup check ## check, unit and property tests, then end to end through real HAProxy and Redis
	cargo test --workspace
	cargo build -p moorline --bins --examples
	cd tests/e2e && npm ci --no-audit --no-fund && npm test
