//! The pool: runs a hunt's work on several threads and hands what they send to one place that adds it up.
//!
//! Every hunt uses it. Workers look at [`Pool::over`] between two pieces of work; what they have sent is merged before
//! the run ends, so nothing that was checked is lost when a hunt is stopped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Threads, and what ends their work.
pub struct Pool<'a> {
    /// Threads; 0 is taken for 1.
    pub jobs: usize,
    /// Ends the run when it is set, by whoever sets it.
    pub stop: &'a AtomicBool,
    /// Ends the run when it has passed.
    pub deadline: Option<Instant>,
}

/// Where a worker sends what it has done.
pub struct Outbox<T>(SyncSender<T>);

impl<T> Outbox<T> {
    /// Sends; waits while the merging thread is far behind. Answers false where the run is over and nobody listens.
    pub fn send(&self, done: T) -> bool {
        self.0.send(done).is_ok()
    }
}

/// The one place where the work of all threads is added up.
pub trait Merge<T, E> {
    /// Takes what a worker sent.
    ///
    /// # Errors
    /// The run cannot go on; it ends at once, and what other workers have sent is not merged.
    fn merge(&mut self, done: T) -> Result<(), E>;

    /// Shows how far the run is. Called a few times a second, and once at its end.
    fn show(&mut self);
}

impl Pool<'_> {
    /// Whether workers are to end.
    #[must_use]
    pub fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Ends the run: no worker begins anything new.
    pub fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Runs `work` on every thread until all have returned, and merges what they send, in the order in which it comes.
    ///
    /// # Errors
    /// The first of [`Merge::merge`].
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
                            // Workers that wait for room in the channel must be let go before they are waited for.
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

/// Puts numbered things in their order: what is merged then depends on no thread.
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
    /// Takes the thing with that number, from 0.
    pub fn put(&mut self, number: u64, thing: T) {
        self.waiting.insert(number, thing);
    }

    /// The next thing, if it has come.
    pub fn next_in_order(&mut self) -> Option<T> {
        let thing = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(thing)
    }

    /// What is left, in order, with gaps: for a run that was stopped.
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
