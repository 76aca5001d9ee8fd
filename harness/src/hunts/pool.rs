//! The pool: runs a hunt's work on several threads and hands their results to one place that adds them up.
//!
//! Every hunt uses the pool. Workers ask [`Pool::over`] between two pieces of work. The run ends only after everything
//! that the workers sent is merged, so a hunt that is stopped loses no result.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Least time between two calls of [`Merge::show`] while a run goes on.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// The threads of a hunt, and what ends their work.
pub struct Pool<'a> {
    /// Number of threads; 0 means 1.
    pub jobs: usize,
    /// The run ends when this is `true`. Any thread may set it, for example at Ctrl-C.
    pub stop: &'a AtomicBool,
    /// The run ends when this moment has passed; `None` for no time limit.
    pub deadline: Option<Instant>,
}

/// The channel into which a worker thread sends its results.
pub struct Outbox<T>(SyncSender<T>);

impl<T> Outbox<T> {
    /// Sends a result to the merging thread, and waits while the merging thread is far behind. Returns `false` if the
    /// merging thread receives no results any more.
    pub fn send(&self, done: T) -> bool {
        self.0.send(done).is_ok()
    }
}

/// Adds up the results of all worker threads of a hunt, on the thread that calls [`Pool::run`].
pub trait Merge<T, E> {
    /// Takes a result that a worker sent.
    ///
    /// # Errors
    /// An error says that the run cannot go on. The pool then ends the run like [`Pool::end`], but drops all results
    /// that are not merged yet.
    fn merge(&mut self, done: T) -> Result<(), E>;

    /// Shows how far the run has come. The pool calls it at most five times a second, and once at the end of a run
    /// without an error.
    fn show(&mut self);
}

impl Pool<'_> {
    /// Returns whether workers must end: `stop` is `true` or the deadline has passed.
    #[must_use]
    pub fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Ends the run by setting `stop` to `true`: workers that ask [`over`](Self::over) begin no other piece of work.
    /// What workers have sent is still merged.
    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Runs `work` on each of `jobs` threads until all threads have returned. Merges the results that they send, in the
    /// order of arrival, on the calling thread.
    ///
    /// # Errors
    /// Returns the first error of [`Merge::merge`], after all threads have returned. `stop` is then `true`.
    pub fn run<T: Send, E>(&self, work: &(dyn Fn(&Outbox<T>) + Sync), merger: &mut dyn Merge<T, E>) -> Result<(), E> {
        let jobs = self.jobs.max(1);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(4 * jobs);
            for _ in 0..jobs {
                let outbox = Outbox(sender.clone());
                scope.spawn(move || work(&outbox));
            }
            drop(sender);
            let mut shown = Instant::now();
            loop {
                match receiver.recv_timeout(SHOW_EVERY) {
                    Ok(done) => {
                        if let Err(error) = merger.merge(done) {
                            self.end();
                            // Empties the channel before the scope waits for the workers, because a worker may wait for
                            // room in the channel.
                            while receiver.recv().is_ok() {}
                            return Err(error);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if shown.elapsed() >= SHOW_EVERY {
                    shown = Instant::now();
                    merger.show();
                }
            }
            merger.show();
            Ok(())
        })
    }
}

/// Brings numbered things into the order of their numbers, so that a merged result does not depend on threads.
pub struct InOrder<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { next: 0, waiting: BTreeMap::new() }
    }
}

impl<T> InOrder<T> {
    /// Takes the thing with this number. Numbers start at 0, and each number may come only once.
    ///
    /// # Panics
    /// Panics if the thing with this number has come already.
    pub fn put(&mut self, number: u64, thing: T) {
        let twice = number < self.next || self.waiting.insert(number, thing).is_some();
        assert!(!twice, "number {number} came twice");
    }

    /// Returns the thing with the next number, from 0 on, or `None` if that thing has not come yet.
    pub fn next_in_order(&mut self) -> Option<T> {
        let thing = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(thing)
    }

    /// Returns the things that were not returned yet, in the order of their numbers. Missing numbers are passed over.
    /// For a run that was stopped.
    pub fn rest(self) -> impl Iterator<Item = T> {
        self.waiting.into_values()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    struct Sum {
        sum: u64,
        limit: u64,
        shown: u64,
    }

    impl Merge<u64, &'static str> for Sum {
        fn merge(&mut self, done: u64) -> Result<(), &'static str> {
            self.sum += done;
            if self.sum > self.limit { Err("too much") } else { Ok(()) }
        }

        fn show(&mut self) {
            self.shown += 1;
        }
    }

    fn run(jobs: usize, limit: u64) -> (Result<(), &'static str>, Sum, bool) {
        let stop = AtomicBool::new(false);
        let pool = Pool { jobs, stop: &stop, deadline: None };
        let next = AtomicU64::new(1);
        let mut sum = Sum { sum: 0, limit, shown: 0 };
        let work = |outbox: &Outbox<u64>| {
            while !pool.over() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > 1000 || !outbox.send(number) {
                    return;
                }
            }
        };
        let result = pool.run(&work, &mut sum);
        let over = pool.over();
        (result, sum, over)
    }

    #[test]
    fn everything_that_is_sent_is_merged() {
        for jobs in [0, 1, 4] {
            let (result, sum, over) = run(jobs, u64::MAX);
            assert_eq!((result, sum.sum, over), (Ok(()), 500_500, false));
            assert!(sum.shown >= 1);
        }
    }

    #[test]
    fn an_error_ends_the_run() {
        for jobs in [1, 4] {
            let (result, _, over) = run(jobs, 1000);
            assert_eq!((result, over), (Err("too much"), true));
        }
    }

    #[test]
    fn a_deadline_that_has_passed_ends_the_work() {
        let stop = AtomicBool::new(false);
        assert!(Pool { jobs: 1, stop: &stop, deadline: Some(Instant::now()) }.over());
        assert!(!Pool { jobs: 1, stop: &stop, deadline: None }.over());
    }

    #[test]
    fn numbers_come_in_order() {
        let mut order = InOrder::default();
        order.put(2, 'c');
        assert_eq!(order.next_in_order(), None);
        order.put(0, 'a');
        assert_eq!((order.next_in_order(), order.next_in_order()), (Some('a'), None));
        order.put(4, 'e');
        assert_eq!(order.rest().collect::<String>(), "ce");
    }
}
