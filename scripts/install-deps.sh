#!/usr/bin/env bash
# Installs what building, running the examples and testing need (Debian). Does nothing when all is there.
# With "bench", "deny" or "vm", what these need as well.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
need cc build-essential
need python3 python3
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
need node nodejs
need npm npm
need chromium chromium
need busybox busybox
need curl curl
need ps procps
need promtool prometheus
need strace strace
need zstd zstd
need setpriv util-linux
need faketime faketime
if [ "${1:-}" = bench ]; then
  need nginx nginx-light
  need haproxy haproxy
  need wrk wrk
fi
if [ "${1:-}" = vm ]; then
  need qemu-system-x86_64 qemu-system-x86
  need mkfs.ext4 e2fsprogs
  need sqlite3 sqlite3
  need strip binutils
fi

if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing ${missing[*]}"
  sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if ! command -v cargo >/dev/null 2>&1; then
  echo "Rust is missing: install it from https://rustup.rs or your distribution, at least version 1.95" >&2
  exit 1
fi
if ! command -v cargo-nextest >/dev/null 2>&1; then
  echo "Installing cargo-nextest, the test runner (some minutes, once)"
  cargo install --locked cargo-nextest
fi
if [ "${1:-}" = deny ] && ! command -v cargo-deny >/dev/null 2>&1; then
  echo "Installing cargo-deny (some minutes, once)"
  cargo install --locked cargo-deny
fi
