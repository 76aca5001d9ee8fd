//! The crate `programs`: text form, encoding, generator, mutation.

mod encoding;
mod generator;
mod mutation;
mod text;
