# Shared by the scripts beside it; sourced, not run.
# shellcheck shell=bash
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=$(basename "$0")

say() { printf '%s\n' "$*"; }
# One line: what, where, what to do. The exit status follows the programs': 2 usage, 3 the environment.
die() {
    local status=$1
    shift
    printf '%s: %s\n' "$self" "$*" >&2
    exit "$status"
}

# build PRESET [-D…] [--target …]: configures and builds quietly; a failing build shows its end. One at a time: two in
# the same folder would spoil each other's files.
build() {
    local preset=$1 log status=0 settings=()
    shift
    while [ $# -gt 0 ] && [ "$1" != --target ]; do
        settings+=("$1")
        shift
    done
    log=$(mktemp)
    (flock 8 && cd "$top" && cmake --preset "$preset" "${settings[@]}" && cmake --build --preset "$preset" "$@") >"$log" 2>&1 8<"$top" ||
        status=$?
    if [ "$status" -ne 0 ]; then
        grep -E 'error|Error|FAILED' "$log" | head -n 20 >&2 || true
        tail -n 40 "$log" >&2
        rm -f "$log"
        die 3 "the build '$preset' failed; its last lines stand above"
    fi
    rm -f "$log"
}
