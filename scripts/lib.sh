# Functions and variables that the scripts of this folder share. Scripts source this file.
#
# Exit status of the scripts: 0 done or nothing found, 1 a finding or a check that failed, 2 bad arguments or input, 3
# something is missing or does not build. The help of a script says what that is in its case.
#
# The functions read the variables target, out, jobs and seed of the script that calls them, and leave results in
# variables of their own.
# shellcheck shell=bash disable=SC2034,SC2154

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# The folder of all builds, and of what fuzzing engines keep.
build_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# Each script names the folders of its own builds.
unset CARGO_TARGET_DIR

targets=(lookup references put_tce indirect program text canary)

say() { printf '== %s\n' "$*" >&2; }
# die STATUS MESSAGE: ends the script with that status and prints the message.
die() {
    printf '%s: %s\n' "$(basename "$0")" "$2" >&2
    exit "$1"
}

# known_target NAME: ends the script if there is no fuzz target of that name.
known_target() {
    local target
    for target in "${targets[@]}"; do
        if [ "$target" = "$1" ]; then return; fi
    done
    die 2 "found target '$1', expected one of: ${targets[*]}"
}

# value OPTION [VALUE]...: ends the script if the option has no value.
value() { [ $# -ge 2 ] || die 2 "$1 needs a value"; }

# number OPTION VALUE: ends the script if the value is not a number from 1 on.
number() { [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || die 2 "found $1 '$2', expected a number from 1 on"; }

# seconds TIME: prints a time such as 90, 90s, 5min or 1h in seconds.
seconds() {
    local number=${1%%[!0-9]*} unit=${1##*[0-9]}
    case "$number:$unit" in
        :* | 0*) ;;
        *: | *:s) echo "$number" && return ;;
        *:min | *:m) echo $((number * 60)) && return ;;
        *:h) echo $((number * 3600)) && return ;;
    esac
    die 2 "found time '$1', expected such as 90s, 5min or 1h"
}

# package COMMAND PACKAGE...: installs the Debian packages if the command is missing. Ends the script if it cannot.
package() {
    local command=$1
    shift
    if command -v "$command" >/dev/null; then return; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $* ($command is missing)"
        if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >&2; then
            die 3 "$command is missing and apt-get could not install $*"
        fi
    else
        die 3 "$command is missing: apt-get install $*"
    fi
}

# tool COMMAND CRATE: installs the crate with cargo if the command is missing. Ends the script if it cannot.
tool() {
    if command -v "$1" >/dev/null; then return; fi
    say "installing $2 ($1 is missing)"
    cargo install --locked "$2" >&2 || die 3 "$1 is missing and cargo could not install $2"
}

# basics: checks for cargo and installs a C++ compiler, which every script needs.
basics() {
    command -v cargo >/dev/null || die 3 "cargo is missing: install stable Rust"
    package g++ g++
}

# realmode_command: builds the command `realmode` and leaves its path in $realmode.
realmode_command() {
    cargo build --release --locked --quiet --bin realmode --target-dir "$build_dir" >&2 || die 3 "realmode does not build"
    realmode=$build_dir/release/realmode
}

host=$(rustc -vV 2>/dev/null | sed -n 's/^host: //p')

# libfuzzer_target TARGET plain|compares|asan: builds the target for libFuzzer on stable Rust and leaves its path in
# $fuzzer.
libfuzzer_target() {
    local folder=$build_dir/libfuzzer-$2 environment=() flags=(--config fuzz/libfuzzer.toml)
    case $2 in
        plain) ;;
        compares) environment=(REALMODE_COVERAGE=-Cllvm-args=-sanitizer-coverage-trace-compares) ;;
        asan) environment=(RUSTC_BOOTSTRAP=1) flags+=(--config 'build.rustflags=["-Zsanitizer=address"]') ;;
    esac
    say "building $1 for libFuzzer ($2)"
    # With --target, cargo does not apply the flags of the sanitizer to build scripts.
    env "${environment[@]}" cargo build "${flags[@]}" --release --locked --quiet --target "$host" --target-dir "$folder" \
        --package realmode-fuzz --bin "$1" >&2 || die 3 "$1 does not build for libFuzzer: that is no finding"
    fuzzer=$folder/$host/release/$1
}

# afl_target TARGET: builds the target and the mutator for AFL++ and leaves their paths in $fuzzer and $mutator.
afl_target() {
    say "building $1 for AFL++"
    CARGO_PROFILE_RELEASE_LTO=off RUSTC_WRAPPER=fuzz/instrument-afl cargo afl build --release --locked --quiet \
        --target-dir "$build_dir/afl" --package realmode-fuzz --no-default-features --features afl --bin "$1" >&2 ||
        die 3 "$1 does not build for AFL++: that is no finding"
    cargo build --release --locked --quiet --target-dir "$build_dir" --package realmode-afl-mutator >&2 ||
        die 3 "the mutator does not build: that is no finding"
    fuzzer=$build_dir/afl/release/$1
    mutator=$build_dir/release/librealmode_afl_mutator.so
}

# pack_corpora TARGET FOLDER [SOURCE]: writes the corpora, or another folder of texts, in the form that the target
# reads.
pack_corpora() {
    local source=${3:-corpora}
    mkdir -p "$2"
    if [ "$1" = text ]; then
        find "$source" -name '*.realmode' -exec cp -n {} "$2" \;
    else
        "$realmode" corpus pack "$source" -o "$2" >&2 || die 3 "the corpora could not be packed"
    fi
}

# subject_of TARGET: prints the subject that the target runs against the reference.
subject_of() { if [ "$1" = canary ]; then echo canary; else echo "${REALMODE_SUBJECT:-candidate}"; fi; }
# focus_of TARGET: prints the focus of the target, which is the part of a program that it runs.
focus_of() { if [ "$1" = canary ] || [ "$1" = text ]; then echo program; else echo "$1"; fi; }

# Each engine runs in a process group of its own. Ctrl-C goes to this script, which ends all engines with their
# children.
engines=() shown=""
trap stop_engines EXIT
trap 'exit 130' INT TERM HUP

# start COMMAND...: starts an engine.
start() {
    setsid "$@" &
    engines[$!]=$!
}

# show LOG: prints the log of an engine while it grows.
show() {
    tail -n +1 -f "$1" >&2 &
    shown=$!
    # `await_engines` must not wait for this process.
    disown
}

# stop_engines: ends all engines that still run, and waits until they have ended.
stop_engines() {
    local pid tries
    if [ -n "$shown" ]; then kill "$shown" 2>/dev/null || true; fi
    shown=""
    for pid in "${engines[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    for pid in "${engines[@]}"; do
        for ((tries = 0; tries < 50; tries++)); do
            kill -0 -- "-$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$pid" 2>/dev/null || true
    done
}

# await_engines last|first: waits until the last engine or the first one has ended. An engine that fails, or the first
# one, ends all others. Leaves the status of the first engine that failed in $status, and the time they ran in $seconds.
await_engines() {
    local pid code started=${EPOCHREALTIME/[.,]/}
    status=0
    while [ ${#engines[@]} -gt 0 ]; do
        code=0
        wait -n -p pid "${engines[@]}" || code=$?
        unset "engines[$pid]"
        [ "$status" != 0 ] || status=$code
        if [ "$code" != 0 ] || [ "$1" = first ]; then
            stop_engines
            engines=()
        fi
    done
    seconds=$((${EPOCHREALTIME/[.,]/} - started))
    seconds=$(printf '%d.%06d' $((seconds / 1000000)) $((seconds % 1000000)))
    [ -z "$shown" ] || sleep 0.1
    stop_engines
}

# triage ENGINE FILE...: makes findings of the files that the engine left. Returns status 0 or 1, and leaves its JSON in
# $triaged.
triage() {
    local engine=$1 status=0
    shift
    triaged=null
    [ $# -gt 0 ] || return 0
    if [ "$target" = text ]; then
        say "the parser broke on: $*"
        return 1
    fi
    local summary
    summary=$(mktemp)
    "$realmode" triage --engine "$engine" --focus "$(focus_of "$target")" --subject "$(subject_of "$target")" --out "$out" \
        --json "$summary" "$@" || status=$?
    [ ! -s "$summary" ] || triaged=$(cat "$summary")
    rm -f "$summary"
    return $status
}

# compared FOLDER: ends the script if the subject that the user named covers nothing of the inputs in the folder.
compared() {
    local status=0
    if [ -z "${REALMODE_SUBJECT:-}" ] || [ "$target" = text ] || [ "$target" = canary ]; then return 0; fi
    "$realmode" corpus stats --subject "$REALMODE_SUBJECT" --focus "$(focus_of "$target")" "$1" >/dev/null 2>&1 ||
        status=$?
    [ "$status" != 3 ] || die 3 "nothing was compared: $REALMODE_SUBJECT covers nothing of the inputs in $1"
}

# save_json FILE ENGINE PROGRAMS: writes the result of a run to FILE as one JSON object. Does nothing if FILE is empty.
save_json() {
    [ -n "$1" ] || return 0
    mkdir -p "$(dirname "$1")"
    printf '{"engine": "%s", "target": "%s", "seed": %s, "jobs": %s, "programs": %s, "seconds": %s, "triage": %s}\n' \
        "$2" "$target" "${seed:-null}" "$jobs" "$3" "$seconds" "$triaged" >"$1"
}
