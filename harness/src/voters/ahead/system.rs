//! The traits of a system that the pipeline can ask. A system starts machines. A machine answers hypercalls, late but
//! in order, and its windows are made from outside.

use std::collections::BTreeMap;
use std::ops::Range;

use contract::{Dialect, Hypercall, Liobn, Machine, Program, Step, WindowSpec};
use reference::Reference;

use super::expected::Expected;
use crate::voters::Unavailable;
use crate::voters::restart::Loss;

/// Why a system cannot run a program, or the rest of it, in words.
pub type Uncovered = String;

/// A kind of system, such as QEMU: its name, what its machines can have, and how one is started.
pub trait System {
    /// The part of a machine that cannot change while it runs, such as the PCI host bridges of a QEMU.
    type Board: Clone;
    /// A machine that runs.
    type Running: Running;

    /// The voter's name in reports and ledgers.
    fn name(&self) -> &str;

    /// How incidents and findings name a machine, such as `QEMU`.
    fn thing(&self) -> &str;

    /// The only dialect in which it answers; `None` if it answers in the dialect of each program.
    fn own_dialect(&self) -> Option<Dialect>;

    /// Checks whether this computer can start machines, without starting one.
    ///
    /// # Errors
    /// It cannot: why, and what the user can do.
    fn find(&self) -> Result<(), Unavailable>;

    /// The board that a program needs.
    ///
    /// # Errors
    /// No machine can have what the program needs: which part, and why.
    fn board(&self, program: &Program) -> Result<Self::Board, Uncovered>;

    /// The smallest board.
    fn bare(&self) -> Self::Board;

    /// Whether a machine with the board `has` can have all that `needs` has.
    fn serves(&self, has: &Self::Board, needs: &Self::Board) -> bool;

    /// Starts a machine and waits until it takes calls.
    ///
    /// # Errors
    /// The machine is lost before that.
    fn boot(&self, board: &Self::Board) -> Result<Self::Running, Loss>;

    /// Why the system is not asked a call: it would take it for something else, or the call could harm it. `None` for
    /// calls that it is asked. `window` is the one that the call names, if the program has it.
    ///
    /// The text follows `QEMU is not asked opcode 0x4c: `, with the system's own [`thing`](Self::thing). The pipeline
    /// counts such a call as a step that was not asked, and the verdict on its program says so.
    fn leaves_out(&self, call: &Hypercall, window: Option<&WindowSpec>) -> Option<&'static str>;

    /// Whether earlier programs leave more in a machine than windows and tables. If so, a voter that must forget them
    /// starts another machine.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether the machine must be told of this step, which is no hypercall, because the machine has a copy of what the
    /// step changes, such as windows. The pipeline runs all other such steps on the reference alone.
    fn mirrors(&self, step: &Step) -> bool;
}

/// A machine that runs.
///
/// A method that finds the machine lost must first pass on all answers that had come by then. The pipeline takes the
/// oldest call without an answer for the one at which the machine was lost. It calls no method of a lost machine again.
pub trait Running {
    /// Prepares the machine for the next program: it gets the program's windows with all entries zero, and loses its
    /// other windows if it can. Calls of earlier programs may still have no answer. `written` says which entries of the
    /// windows that are there now may not be zero.
    ///
    /// # Errors
    /// The machine is lost.
    fn begin(&mut self, machine: &Machine, written: Written, expected: &mut Expected) -> Result<(), Loss>;

    /// Whether it has a window of that LIOBN. A machine may have windows that no program asked for.
    fn has(&self, liobn: Liobn) -> bool;

    /// Stores this list in guest memory before the next call is made.
    ///
    /// # Errors
    /// Outer: the machine is lost. Inner: no list can lie at that address, and why.
    fn list(&mut self, list: List<'_>, expected: &mut Expected) -> Result<Result<(), Uncovered>, Loss>;

    /// Asks for a hypercall. Its answer may come later, but after the answers to earlier calls. The machine passes each
    /// answer to [`Expected::take`] once.
    ///
    /// # Errors
    /// The machine is lost.
    fn call(&mut self, call: &Hypercall, expected: &mut Expected) -> Result<(), Loss>;

    /// Waits until every call has been answered.
    ///
    /// # Errors
    /// The machine is lost.
    fn drain(&mut self, expected: &mut Expected) -> Result<(), Loss>;

    /// Does a step that the system [mirrors](System::mirrors). All calls have been answered, and the reference has done
    /// the step.
    ///
    /// # Errors
    /// Outer: the machine is lost. Inner: it cannot do the step, and why.
    fn change(&mut self, step: &Step, reference: &Reference) -> Result<Result<(), Uncovered>, Loss>;
}

/// The registers after a hypercall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// r3: the status.
    pub r3: u64,
    /// r4. It still holds the LIOBN of the call if the call stores nothing to it.
    pub r4: u64,
    /// The bits of r5 to r9 that the call changed, of all five together; 0 if it left them alone.
    pub others: u64,
}

/// The list of an H_PUT_TCE_INDIRECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List<'a> {
    /// Its guest address in bytes, a multiple of 4096.
    pub gpa: u64,
    /// Its words, 1 to 512 of them; all zero if the guest has no memory there.
    pub words: &'a [u64],
    /// Whether the guest has memory there.
    pub backed: bool,
}

/// The table entries that may not be zero, because a program may have written them since they were last cleared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Any entry of any window may be written, whatever `entries` says. Set after a difference.
    pub anything: bool,
    /// For each window, by LIOBN, a range of indices that covers all entries that may be written.
    pub entries: BTreeMap<Liobn, Range<u64>>,
}

impl Written {
    /// Adds a range of entries, by index.
    pub fn add(&mut self, liobn: Liobn, entries: &Range<u64>) {
        let all = self.entries.entry(liobn).or_insert_with(|| entries.clone());
        *all = all.start.min(entries.start)..all.end.max(entries.end);
    }

    /// The range of a window; empty if nothing was written.
    #[must_use]
    pub fn of(&self, liobn: Liobn) -> Range<u64> {
        self.entries.get(&liobn).cloned().unwrap_or_default()
    }
}

/// An I/O bus address that names entry `index`, in bytes; `None` if it would be 2^64 or more.
///
/// The address is a multiple of the window's page, because most dialects refuse others. The base may be no multiple, in
/// a dialect that rounds addresses down; the result is then not where the entry begins.
#[must_use]
pub fn ioba(window: &WindowSpec, index: u64) -> Option<u64> {
    let first = window.base.checked_next_multiple_of(window.page())?;
    first.checked_add(index.checked_mul(window.page())?)
}

/// The indices of the entries that a call may store to, by its registers alone. A call that fails may store to fewer.
/// `None` if its address lies outside of the window.
#[must_use]
pub(super) fn reach(window: &WindowSpec, call: &Hypercall) -> Option<Range<u64>> {
    let [_, ioba, _, _] = call.args;
    let first = (ioba & !(window.page() - 1)).checked_sub(window.base)? >> window.page_shift;
    (first < window.entries).then(|| first..window.entries.min(first.saturating_add(call.count())))
}
