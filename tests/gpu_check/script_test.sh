#!/usr/bin/env bash
# script_test.sh DIR: scripts/gpu builds without the project's libraries, a run that is killed leaves a JSON that
# can be read, and one that is not finds everything equal. Works in DIR.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1
rm -rf "$folder"
mkdir -p "$folder"

fail() {
  echo "script_test: $*" >&2
  exit 1
}
valid() { python3 -m json.tool "$1" >/dev/null || fail "$1 is no JSON"; }

scripts/gpu --fake --seconds 120 --out "$folder/whole" >"$folder/output" || {
  cat "$folder/output"
  fail "scripts/gpu --fake ended with status $?"
}
json=$(echo "$folder"/whole/*.json)
valid "$json"
grep -q '"state": "complete"' "$json" || fail "$json is not complete"
grep -q '"equal": true' "$json" || fail "$json does not say that all is equal"
grep -q "^json  $json\$" "$folder/output" || fail "the path of the JSON is not printed"

# Headers that the compiler read, by its own account.
grep -rhoE '[^ ]*include/[^ ]*' build/gpu/cmake/CMakeFiles --include='*.d' | sort -u >"$folder/headers"
grep -q 'cuda_runtime_api.h' "$folder/headers" || fail "no lists of headers were found"
if grep -E 'include/([^ ]*/)?(fmt|openssl|boost|caf|capnp|kj|nlohmann|yaml-cpp|unicode|CLI|Eigen)/|pcre2|zlib' \
  "$folder/headers"; then
  fail "these are not to be needed"
fi

# Killed in the middle of comparing: what was found until then can be read.
build/gpu/cmake/gpu_check_fake --json "$folder/killed.json" >"$folder/killed.out" &
child=$!
until grep -q 'S46' "$folder/killed.json" 2>/dev/null; do kill -0 $child || fail "it ended too early"; done
kill -9 $child
wait $child 2>/dev/null || true
valid "$folder/killed.json"
grep -q '"state": "running"' "$folder/killed.json" || fail "a run that was killed says that it is complete"

# Without a device, and without sense.
status=0
build/gpu/cmake/gpu_check_fake --device 7 --json "$folder/none.json" >"$folder/none.out" || status=$?
((status == 77)) || fail "without a device the status is $status, not 77"
valid "$folder/none.json"
status=0
scripts/gpu --fake --seconds none >/dev/null 2>&1 || status=$?
((status == 2)) || fail "a wrong flag ends with status $status, not 2"
