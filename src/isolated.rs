//! `realmode isolated`: the child of another realmode. Not for people.

use std::path::PathBuf;

use realmode_diff::voters::isolate::{self, Orders};

use super::{CLEAN, Failure, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The subject
    subject: String,
    /// The process that it is run for
    #[arg(long)]
    parent: u32,
    /// Where programs are handed over
    #[arg(long)]
    memory: PathBuf,
    /// Bytes of data that it may have
    #[arg(long)]
    bytes: u64,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Args { subject, parent, memory, bytes } = args;
    let orders = Orders { subject: subject.clone(), parent: *parent, memory: memory.clone(), bytes: *bytes };
    isolate::run(&orders).map_err(Failure::missing)?;
    Ok(CLEAN)
}
