//! What `fuzz` and `exhaust` share: Ctrl-C, the number of threads, progress, and how a run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use realmode_diff::voters::{Roll, Roster, Unavailable};

use super::{CLEAN, FINDING, Failure, MISSING, Outcome};

/// A flag that the first Ctrl-C sets, so that the run ends with its summary. The second one ends the process.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (handler, mut first) = (Arc::clone(&stop), None);
    let set = ctrlc::set_handler(move || {
        let first = first.get_or_insert_with(Instant::now);
        // A watched process is interrupted by the terminal and by the process that watches it: that is one Ctrl-C.
        let again = !realmode_diff::watch::is_watched() || first.elapsed() >= Duration::from_millis(300);
        if handler.swap(true, Ordering::Relaxed) && again {
            realmode_diff::watch::finish();
            std::process::exit(130);
        }
    });
    set.map_err(|error| Failure::missing(format!("no handler for Ctrl-C: {error}")))?;
    Ok(stop)
}

/// The threads that were asked for, or as many as keep all cores busy.
pub(crate) fn jobs(asked: Option<u16>, roster: &Roster) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(|| roster.jobs(cores), usize::from)
}

/// A progress bar with the time that has passed.
pub(crate) struct Bar {
    bar: ProgressBar,
    started: Instant,
}

impl Bar {
    pub(crate) fn new(length: u64) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {bar:24} {msg}") {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn show(&self, position: u64, message: String) {
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How a run ends: with a finding, with a voter that was lost, with nothing compared, or clean.
pub(crate) fn end(findings: usize, gone: Option<&Unavailable>, roll: &Roll) -> Outcome {
    if let Some(gone) = gone {
        let status = if findings == 0 { MISSING } else { FINDING };
        return Err(Failure { status, message: gone.to_string() });
    }
    if findings > 0 {
        return Ok(FINDING);
    }
    match roll.nothing_compared() {
        Some(why) => Err(Failure::missing(format!("nothing was compared: {why}"))),
        None => Ok(CLEAN),
    }
}
