#!/bin/bash -eu
# Builds every target except the canary for OSS-Fuzz and ClusterFuzzLite, each with seed corpus, dictionary and options
# in $OUT. scripts/oss-fuzz runs this file without Docker.

cd "$SRC/realmode-diff"
# The binaries are in the target folder of the workspace, or in CARGO_TARGET_DIR. Another folder could hold old ones.
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
host=$(rustc -vV | sed -n 's/^host: //p')

# The command that packs the corpora runs on this machine, so it is built without the flags of the fuzzer.
env -u RUSTFLAGS -u RUSTC_BOOTSTRAP cargo build --release --locked --bin realmode --target-dir "$WORK/tools"
rm -rf "$WORK/seeds" && mkdir -p "$WORK/seeds/packed" "$WORK/seeds/text"
"$WORK/tools/release/realmode" corpus pack corpora -o "$WORK/seeds/packed"
find corpora -name '*.realmode' -exec cp {} "$WORK/seeds/text" \;

CARGO_PROFILE_RELEASE_LTO=off cargo fuzz build -O --debug-assertions
for source in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    # The canary must fail, so the service would report it for ever.
    if [ "$name" = canary ]; then continue; fi
    cp "$target_dir/$host/release/$name" "$OUT/"
    kind=program seeds=packed
    if [ "$name" = text ]; then kind=text seeds=text; fi
    cp "fuzz/dictionaries/$kind.dict" "$OUT/$name.dict"
    cp "fuzz/options/$kind.options" "$OUT/$name.options"
    rm -f "$OUT/${name}_seed_corpus.zip"
    (cd "$WORK/seeds/$seeds" && zip -q -r "$OUT/${name}_seed_corpus.zip" .)
done
