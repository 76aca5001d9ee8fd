//! Where programs come from and how they are kept: drawing, mutating, packing, and reading and writing files.
//!
//! A [`Program`](contract::Program) is drawn by [`generate`], changed by [`mutate`], packed into bytes by [`encoding`],
//! or read from a file by [`inputs`]. Whatever the source, the program that comes out is valid
//! ([`Program::validate`](contract::Program::validate)); [`repair`] makes it so. No module here runs a program, and
//! everything is a function of its arguments: the same seed and input give the same program.
//!
//! | module | what it does |
//! |---|---|
//! | [`generate`] | draws random programs; decodes any byte string into one |
//! | [`mutate`] | changes and crosses programs for fuzzing engines |
//! | [`encoding`] | packs programs into bytes for engines; decodes every byte string |
//! | [`repair`] | makes any program valid |
//! | [`layout`] | finds free places in real memory for what a description needs |
//! | [`links`] | renumbers a page, a section or a window, and every number that refers to it |
//! | [`focus`] | selects the part of a program that a fuzz target runs |
//! | [`inputs`] | finds and reads files of programs, written by engines or by people |
//! | [`corpus`] | packs and unpacks corpora, and rewrites old files in the current encoding |
//! | [`sequence`] | several programs that one subject runs in a row, and their text form |
//! | [`store`] | writes files atomically; names files by a hash of their program |
//! | [`snippet`] | shows errors of the text form |
//! | [`quiet`] | suppresses the output of panics and keeps their messages |

pub mod corpus;
pub mod encoding;
pub mod focus;
pub mod generate;
pub mod inputs;
pub mod layout;
pub mod links;
pub mod mutate;
pub mod quiet;
pub mod repair;
pub mod sequence;
pub mod snippet;
pub mod store;
