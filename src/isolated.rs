//! `realmode isolated`: runs a subject for another realmode process. It is not meant for people.

use std::path::PathBuf;

use realmode_diff::voters::isolate::{self, Orders};

use super::{CLEAN, Failure, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The name of the subject, or the path of a library
    subject: String,
    /// The id of the realmode process for which the subject runs
    #[arg(long)]
    parent: u32,
    /// The path of the shared memory through which programs and answers pass
    #[arg(long)]
    memory: PathBuf,
    /// The largest number of bytes of data that the subject may allocate
    #[arg(long)]
    bytes: u64,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Args { subject, parent, memory, bytes } = args;
    let orders = Orders { subject: subject.clone(), parent: *parent, memory: memory.clone(), bytes: *bytes };
    isolate::run(&orders).map_err(Failure::missing)?;
    Ok(CLEAN)
}
