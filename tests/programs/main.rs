//! The crate `programs`, and the forms of the contract's words: text form, serialised form, encoding, generator,
//! mutation, and the visitor that they share.

mod encoding;
mod generator;
mod mutation;
mod serial;
mod text;
mod visit;
