//! Every command of `realmode`, as a person runs it.

mod commands;
mod corpus;
