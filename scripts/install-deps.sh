#!/usr/bin/env bash
# Installs the Debian packages that building and testing need. Does nothing when all are there.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need cc build-essential
need python3 python3
need ps procps

if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing ${missing[*]}: needed to build and test tenement"
  sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if ! command -v cargo-nextest >/dev/null 2>&1; then
  echo "Installing cargo-nextest, the test runner"
  cargo install --locked cargo-nextest
fi
