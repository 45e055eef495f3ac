#!/usr/bin/env bash
# Lets schemathesis judge a running daemon by its own description, with a token and without.
# The first argument is the program, the second how many examples each operation gets.
set -euo pipefail
cd "$(dirname "$0")/.."
ten=$(realpath "${1:-target/debug/ten}")
examples=${2:-10}
venv=target/schemathesis
if [ ! -x "$venv/bin/schemathesis" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==4.32.5"
fi

folder=$(mktemp -d)
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; rm -rf "$folder"' EXIT
cat > "$folder/tenement.toml" <<TOML
[settings]
stop_timeout = 2
[service.api]
command = "python3 '$PWD/examples/notes/app.py'"
health = "/health"
max_instances = 20
TOML
mkfifo "$folder/said"
"$ten" serve --config "$folder/tenement.toml" --data-dir "$folder/data" --host 127.0.0.1 --port 0 \
  --token tenement_schemathesis > "$folder/said" 2> "$folder/log" &
daemon=$!
read -r ready < "$folder/said"
url=http://127.0.0.1:${ready##*:}

judge() {
  echo "schemathesis, $1"
  shift
  "$venv/bin/schemathesis" --config-file tests/schemathesis.toml run "$url/api/openapi.json" --url "$url" \
    --checks all --max-examples "$examples" --continue-on-failure --no-color --generation-deterministic \
    --request-timeout 30 "$@" > "$folder/report" 2>&1 || {
    cat "$folder/report"
    exit 1
  }
  grep -A3 -E 'generated' "$folder/report" || true
}
judge "with a token" --rate-limit auto --header "Authorization: Bearer tenement_schemathesis"
judge "without" --max-examples 1
