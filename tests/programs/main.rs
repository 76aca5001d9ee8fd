//! The crate `programs`, and the visitor that it works with: text form, encoding, generator, mutation.

mod encoding;
mod generator;
mod mutation;
mod text;
mod visit;
