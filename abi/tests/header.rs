//! Tests that include/realmode.h matches the Rust types. `REALMODE_WRITE=1` writes it.

use std::path::Path;

use abi::header;
use contract::{description, hcall, program};

/// The limits in the header, from which implementations size their arrays, equal those of valid programs.
#[test]
fn the_limits_are_the_contract_s() {
    for (name, told, kept) in [
        ("RM_MAX_WINDOWS", header::RM_MAX_WINDOWS, description::MAX_WINDOWS as u64),
        ("RM_MAX_SLOTS", header::RM_MAX_SLOTS, description::MAX_SLOTS.into()),
        ("RM_MAX_VCPUS", header::RM_MAX_VCPUS, program::MAX_VCPUS.into()),
        ("RM_MAX_WINDOW_ENTRIES", header::RM_MAX_WINDOW_ENTRIES, description::MAX_WINDOW_ENTRIES),
        ("RM_MAX_TCES", header::RM_MAX_TCES, hcall::MAX_TCES_PER_CALL),
        ("RM_MAX_BLOCKS", header::RM_MAX_BLOCKS, description::MAX_BLOCKS),
        ("RM_MAX_PHYSMEM_BITS", header::RM_MAX_PHYSMEM_BITS, description::MAX_PHYSMEM_BITS.into()),
    ] {
        assert_eq!(told, kept, "{name}");
    }
}

#[test]
fn the_header_is_what_the_types_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("a configuration");
    config.header = Some(std::fs::read_to_string(root.join("preamble.h")).expect("the preamble").trim_end().into());
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/header.rs"))
        .generate()
        .expect("a header of the types");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).expect("a text");
    let path = root.join("../include/realmode.h");
    if std::env::var_os("REALMODE_WRITE").is_some() {
        std::fs::write(&path, &text).expect("the header, written");
    }
    let there = std::fs::read_to_string(&path).expect("include/realmode.h");
    similar_asserts::assert_eq!(
        there,
        text,
        "write it with REALMODE_WRITE=1 cargo test --package realmode-abi --test header"
    );
}
