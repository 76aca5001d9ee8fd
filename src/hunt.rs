//! What `fuzz`, `exhaust` and `triage` share: Ctrl-C, the number of threads, the progress bar, and the exit status.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use realmode_diff::voters::{Roll, Roster, Unavailable};

use super::{CLEAN, FINDING, Failure, MISSING, Outcome};

/// Returns a flag that the first Ctrl-C sets, so that the run ends with its summary. The second Ctrl-C (in a watched
/// process at least 300 ms after the first) ends the process with status 130. If no handler can be installed, that is a
/// failure with status 3.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let (handler, mut first) = (Arc::clone(&stop), None);
    let set = ctrlc::set_handler(move || {
        let first = first.get_or_insert_with(Instant::now);
        // A watched process gets each Ctrl-C twice: from the terminal, and from the process that watches it. Two within
        // 300 ms count as one.
        let again = !realmode_diff::watch::is_watched() || first.elapsed() >= Duration::from_millis(300);
        if handler.swap(true, Ordering::Relaxed) && again {
            realmode_diff::watch::finish();
            std::process::exit(130);
        }
    });
    set.map_err(|error| Failure::missing(format!("no handler for Ctrl-C: {error}")))?;
    Ok(stop)
}

/// Returns the number of threads: what the user asked for, or for `None` as many as keep all cores busy with the voters
/// of the roster.
pub(crate) fn jobs(asked: Option<u16>, roster: &Roster) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or_else(|| roster.jobs(cores), usize::from)
}

/// A progress bar in the terminal that shows the elapsed time and a message.
pub(crate) struct Bar {
    bar: ProgressBar,
    started: Instant,
}

impl Bar {
    /// Makes a progress bar of `length` units, such as programs or milliseconds.
    pub(crate) fn new(length: u64) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("[{elapsed_precise}] {bar:24} {msg}") {
            bar.set_style(style);
        }
        Self { bar, started: Instant::now() }
    }

    /// Returns the time since the progress bar was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows a position, in units of the progress bar from 0, and a message.
    pub(crate) fn show(&self, position: u64, message: String) {
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    /// Removes the progress bar from the terminal.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Formats the declared differences that the run cannot use: those of voters or dialects that take no part, and those
/// that have expired. Empty if there are none.
pub(crate) fn unused(roster: &Roster) -> String {
    let idle = roster.ledger.told_idle().map(|idle| format!("{idle}\n"));
    let expired =
        roster.ledger.expired().map(|entry| format!("declared difference, expired and no longer in force: {entry}\n"));
    idle.into_iter().chain(expired).collect()
}

/// Returns the verdict on a whole run for its JSON summary: `finding`, `lost` if a voter was lost for good, `not
/// compared` if nothing was compared, or else `agreed`.
pub(crate) fn verdict(findings: usize, gone: Option<&Unavailable>, roll: &Roll) -> &'static str {
    match (findings, gone, roll.nothing_compared()) {
        (1.., ..) => "finding",
        (0, Some(_), _) => "lost",
        (0, None, Some(_)) => "not compared",
        (0, None, None) => "agreed",
    }
}

/// Returns how a run ends. A voter that was lost (`gone`) fails with status 1 if there are findings, else 3. Otherwise
/// the status is 1 with findings, 3 (a failure) if nothing was compared, and 0 if something was.
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
