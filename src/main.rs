//! The command `realmode`. See `realmode --help`.
fn main() {}
