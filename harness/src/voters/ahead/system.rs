//! The traits of a system that the pipeline can ask. A system starts machines. A machine answers hypercalls, late but
//! in order, and the pipeline makes its windows from outside.

use std::collections::BTreeMap;
use std::ops::Range;

use contract::{Dialect, Hypercall, Liobn, Machine, Program, Step, WindowSpec};
use reference::Reference;

use super::expected::Expected;
use crate::voters::Unavailable;
use crate::voters::restart::Loss;

/// Why a system cannot run a program, or the rest of a program, in words.
pub type Uncovered = String;

/// A kind of system that answers hypercalls, such as QEMU. It starts machines, and says what a machine can have and
/// what it is asked.
pub trait System {
    /// The part of a machine that cannot change while the machine runs, such as the PCI host bridges of a QEMU.
    type Board: Clone;
    /// A running machine of this system.
    type Running: Running;

    /// Returns the voter's name in reports and ledgers.
    fn name(&self) -> &str;

    /// Returns how incidents and findings name a machine of this system, such as `QEMU`.
    fn thing(&self) -> &str;

    /// Returns the only dialect in which the system answers; `None` if it answers in the dialect of each program.
    fn own_dialect(&self) -> Option<Dialect>;

    /// Checks whether this computer can start machines of this system, without starting one.
    ///
    /// # Errors
    /// Fails if this computer cannot start one. The text says why, and what the user can do.
    fn find(&self) -> Result<(), Unavailable>;

    /// Returns the board that a program needs.
    ///
    /// # Errors
    /// Fails if no machine can have what the program needs. The text says what that is, and why.
    fn board(&self, program: &Program) -> Result<Self::Board, Uncovered>;

    /// Returns the smallest board that a machine can have.
    fn bare(&self) -> Self::Board;

    /// Returns whether a machine with the board `has` can have all windows of the board `needs`.
    fn serves(&self, has: &Self::Board, needs: &Self::Board) -> bool;

    /// Starts a machine with this board and waits until it takes hypercalls.
    ///
    /// # Errors
    /// Fails if the machine is lost before it takes hypercalls.
    fn boot(&self, board: &Self::Board) -> Result<Self::Running, Loss>;

    /// Returns why the system is not asked a hypercall: it would take the call for something else, or the call could
    /// harm it. `None` for hypercalls that it is asked. `window` is the window that the call names, `None` if the
    /// program has no such window.
    ///
    /// The text follows `QEMU is not asked opcode 0x4c: `, with the system's own [`thing`](Self::thing). The pipeline
    /// counts such a call as not asked, and the verdict on its program says so. If the reference changes something at
    /// such a call, the program is not compared from there on.
    fn leaves_out(&self, call: &Hypercall, window: Option<&WindowSpec>) -> Option<&'static str>;

    /// Returns whether programs leave more in a machine than windows and tables. If so, a voter that must forget them
    /// starts another machine.
    fn remembers(&self) -> bool {
        false
    }

    /// Returns whether the machine must do this step too. `step` is no hypercall. The machine must do it if it has a
    /// copy of what the step changes, such as windows. The pipeline runs all other such steps on the reference alone.
    fn mirrors(&self, step: &Step) -> bool;
}

/// A running machine of a system.
///
/// A method that finds the machine lost must first pass on all answers that had come by then. The pipeline takes the
/// oldest hypercall without an answer for the one at which the machine was lost. The pipeline never calls a method of a
/// lost machine again.
pub trait Running {
    /// Prepares the machine for the next program: the machine gets the program's windows with all entries zero, and
    /// loses its other windows if it can. Hypercalls of earlier programs may still have no answer. `written` says which
    /// entries of the windows that the machine has now may not be zero.
    ///
    /// # Errors
    /// Fails if the machine is lost.
    fn begin(&mut self, machine: &Machine, written: Written, expected: &mut Expected) -> Result<(), Loss>;

    /// Returns whether the machine has a window with this LIOBN. A machine may have windows that no program asked for.
    fn has(&self, liobn: Liobn) -> bool;

    /// Stores this list in guest memory, after the hypercalls that were asked so far and before the next one.
    ///
    /// # Errors
    /// The outer error says that the machine is lost. The inner error says why no list can lie at that address.
    fn list(&mut self, list: List<'_>, expected: &mut Expected) -> Result<Result<(), Uncovered>, Loss>;

    /// Asks the machine for a hypercall. The answer may come later, but after the answers to earlier hypercalls. The
    /// machine passes each answer to [`Expected::take`] once.
    ///
    /// # Errors
    /// Fails if the machine is lost.
    fn call(&mut self, call: &Hypercall, expected: &mut Expected) -> Result<(), Loss>;

    /// Waits until the machine has answered every hypercall.
    ///
    /// # Errors
    /// Fails if the machine is lost.
    fn drain(&mut self, expected: &mut Expected) -> Result<(), Loss>;

    /// Makes the machine do a step that the system [mirrors](System::mirrors). All hypercalls have been answered, and
    /// the reference has done the step.
    ///
    /// # Errors
    /// The outer error says that the machine is lost. The inner error says why the machine cannot do the step.
    fn change(&mut self, step: &Step, reference: &Reference) -> Result<Result<(), Uncovered>, Loss>;
}

/// The list of an H_PUT_TCE_INDIRECT, for the machine's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List<'a> {
    /// Guest physical address of the list in bytes, a multiple of 4096.
    pub gpa: u64,
    /// The words of the list, 1 to 512 of them; all zero if the guest has no memory at `gpa`.
    pub words: &'a [u64],
    /// Whether the guest has memory at `gpa`.
    pub backed: bool,
}

/// The table entries of a machine that may not be zero, because a program may have written them since they were last
/// cleared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Whether any entry of any window may have been written, whatever `entries` says. Set after an answer that
    /// differs.
    pub anything: bool,
    /// For each window, by LIOBN, a range of entry indices, from 0, that covers all entries that may have been written.
    pub entries: BTreeMap<Liobn, Range<u64>>,
}

impl Written {
    /// Adds a range of entry indices of the window with this LIOBN.
    pub fn add(&mut self, liobn: Liobn, entries: &Range<u64>) {
        let all = self.entries.entry(liobn).or_insert_with(|| entries.clone());
        *all = all.start.min(entries.start)..all.end.max(entries.end);
    }

    /// Returns the range of entry indices that may have been written in the window with this LIOBN, by `entries` alone;
    /// empty if none was.
    #[must_use]
    pub fn of(&self, liobn: Liobn) -> Range<u64> {
        self.entries.get(&liobn).cloned().unwrap_or_default()
    }
}

/// Returns an I/O bus address that names the window's entry `index`, from 0; `None` if the address would be 2^64 or
/// more. `index` is not compared with the number of entries.
///
/// The address is a multiple of the window's page, because most dialects refuse other addresses. The base of the window
/// may be no multiple in a dialect that rounds addresses down; the entry then begins before the address.
#[must_use]
pub fn ioba(window: &WindowSpec, index: u64) -> Option<u64> {
    let first = window.base.checked_next_multiple_of(window.page())?;
    first.checked_add(index.checked_mul(window.page())?)
}

/// Returns the indices, from 0, of the entries that an H_PUT_TCE, H_STUFF_TCE or H_PUT_TCE_INDIRECT may store to,
/// judged by its registers alone. A hypercall that fails may store to fewer. `None` if its IOBA lies outside of the
/// window.
#[must_use]
pub(super) fn reach(window: &WindowSpec, call: &Hypercall) -> Option<Range<u64>> {
    let [_, ioba, _, _] = call.args;
    let first = (ioba & !(window.page() - 1)).checked_sub(window.base)? >> window.page_shift;
    (first < window.entries).then(|| first..window.entries.min(first.saturating_add(call.count())))
}
