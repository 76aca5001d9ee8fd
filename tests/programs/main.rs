//! Tests of the crate `programs` and of the forms of a program: text, serialised names, encoding, generator, mutation,
//! and the visitor that all of them use.

mod encoding;
mod generator;
mod limits;
mod mutation;
mod serial;
mod text;
mod visit;
