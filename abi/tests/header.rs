//! include/realmode.h is what the Rust types say. `REALMODE_WRITE=1` writes it.

use std::path::Path;

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
