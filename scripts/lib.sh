# What the scripts of this folder share. Sourced, not run.
#
# Status of every script: 0 nothing found, 1 a finding, 2 bad arguments or input, 3 something is missing or could not be built.
# shellcheck shell=bash

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
build_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# The scripts name the folder of each of their builds themselves.
unset CARGO_TARGET_DIR

targets=(lookup references put_tce indirect program text canary)

say() { printf '== %s\n' "$*" >&2; }
# die STATUS MESSAGE: ends the script.
die() {
    printf '%s: %s\n' "$(basename "$0")" "$2" >&2
    exit "$1"
}

# known_target NAME: ends the script unless there is such a target.
known_target() {
    local target
    for target in "${targets[@]}"; do
        if [ "$target" = "$1" ]; then return; fi
    done
    die 2 "found target '$1', expected one of: ${targets[*]}"
}

# seconds TIME: such as 90, 90s, 5min or 1h, in seconds.
seconds() {
    local number=${1%%[!0-9]*} unit=${1##*[0-9]}
    case "$number:$unit" in
        :*) ;;
        *: | *:s) echo "$number" && return ;;
        *:min | *:m) echo $((number * 60)) && return ;;
        *:h) echo $((number * 3600)) && return ;;
    esac
    die 2 "found time '$1', expected such as 90s, 5min or 1h"
}

# package COMMAND PACKAGE...: installs Debian packages unless there is the command; says so, or says what is missing.
package() {
    local command=$1
    shift
    if command -v "$command" >/dev/null; then return; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $* ($command is missing)"
        apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
            die 3 "$command is missing and apt-get could not install $*"
    else
        die 3 "$command is missing: apt-get install $*"
    fi
}

# tool COMMAND CRATE: installs a cargo command unless it is there.
tool() {
    if command -v "$1" >/dev/null; then return; fi
    say "installing $2 ($1 is missing)"
    cargo install --locked "$2" >&2 || die 3 "$1 is missing and cargo could not install $2"
}

# basics: what every script needs.
basics() {
    command -v cargo >/dev/null || die 3 "cargo is missing: install stable Rust"
    package g++ g++
}

# realmode_command: builds the command, leaves its path in $realmode.
realmode_command() {
    cargo build --release --locked --quiet --bin realmode --target-dir "$build_dir" >&2 || die 3 "realmode does not build"
    # Used by the scripts that source this.
    # shellcheck disable=SC2034
    realmode=$build_dir/release/realmode
}

host=$(rustc -vV 2>/dev/null | sed -n 's/^host: //p')

# libfuzzer_target TARGET plain|compares|asan: builds a target for libFuzzer on stable Rust, leaves its path in $fuzzer.
libfuzzer_target() {
    local folder=$build_dir/libfuzzer-$2 environment=() flags=(--config fuzz/libfuzzer.toml)
    case $2 in
        plain) ;;
        compares) environment=(REALMODE_COVERAGE=-Cllvm-args=-sanitizer-coverage-trace-compares) ;;
        asan) environment=(RUSTC_BOOTSTRAP=1) flags+=(--config 'build.rustflags=["-Zsanitizer=address"]') ;;
    esac
    say "building $1 for libFuzzer ($2)"
    # With a target named, what runs while building is not sanitized.
    env "${environment[@]}" cargo build "${flags[@]}" --release --locked --quiet --target "$host" --target-dir "$folder" \
        --package realmode-fuzz --bin "$1" >&2 || die 3 "$1 does not build for libFuzzer: that is no finding"
    # shellcheck disable=SC2034
    fuzzer=$folder/$host/release/$1
}

# afl_target TARGET: builds a target and the mutator for AFL++, leaves their paths in $fuzzer and $mutator.
afl_target() {
    say "building $1 for AFL++"
    CARGO_PROFILE_RELEASE_LTO=off cargo afl build --release --locked --quiet --target-dir "$build_dir/afl" --package realmode-fuzz --no-default-features \
        --features afl --bin "$1" >&2 || die 3 "$1 does not build for AFL++: that is no finding"
    cargo build --release --locked --quiet --target-dir "$build_dir" --package realmode-afl-mutator >&2 ||
        die 3 "the mutator does not build: that is no finding"
    fuzzer=$build_dir/afl/release/$1
    # shellcheck disable=SC2034
    mutator=$build_dir/release/librealmode_afl_mutator.so
}

# pack_corpora TARGET FOLDER: the corpora as the target reads them.
pack_corpora() {
    mkdir -p "$2"
    if [ "$1" = text ]; then
        find corpora -name '*.realmode' -exec cp -n {} "$2" \;
    else
        "$realmode" corpus pack corpora -o "$2" >&2 || die 3 "the corpora could not be packed"
    fi
}

# subject_of TARGET: what runs against the reference there.
subject_of() { if [ "$1" = canary ]; then echo canary; else echo candidate; fi; }
# focus_of TARGET: what part of programs it runs.
focus_of() { if [ "$1" = canary ] || [ "$1" = text ]; then echo program; else echo "$1"; fi; }
