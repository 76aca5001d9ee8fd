//! Where programs come from and how they are kept.
//!
//! | module | what it does |
//! |---|---|
//! | [`generate`] | draws random programs; decodes any bytes into one |
//! | [`mutate`] | changes and crosses programs for fuzzing engines |
//! | [`encoding`] | packs programs for engines; the inverse decodes every byte string |
//! | [`repair`] | makes any program valid |
//! | [`layout`] | finds room in real memory for what a description needs |
//! | [`links`] | moves a page, a section or a window with every number that belongs to it |
//! | [`focus`] | which part of a program a fuzz target runs |
//! | [`inputs`] | finds and reads the files of programs that engines and people keep |
//! | [`corpus`] | packs and unpacks corpora, and brings them up to date |
//! | [`sequence`] | several programs that run on one subject, and their text form |
//! | [`store`] | writes files so that none is ever half there |
//! | [`snippet`] | shows errors of the text form |
//! | [`quiet`] | catches panics without their noise |

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
