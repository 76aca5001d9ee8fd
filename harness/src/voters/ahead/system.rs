//! What the pipeline knows of a system: machines that answer hypercalls late and in order, and whose windows are made
//! from outside.

use std::collections::BTreeMap;
use std::ops::Range;

use contract::{Dialect, Hypercall, Liobn, Machine, Program, Step, WindowSpec};
use reference::Reference;

use super::expected::Expected;
use crate::voters::Unavailable;
use crate::voters::restart::Loss;

/// Why a program, or the rest of it, cannot be put to a system, in words.
pub type Uncovered = String;

/// A kind of system: what it is called, what it can have, and how it is started.
pub trait System {
    /// What a machine must be started with, because it cannot get it while it runs.
    type Board: Clone;
    /// A machine that runs.
    type Running: Running;

    /// The voter's name in reports and ledgers.
    fn name(&self) -> &str;

    /// What incidents and findings call a machine, such as `QEMU`.
    fn thing(&self) -> &str;

    /// The dialect in which it answers whatever the program's is; `None` where it answers in the program's.
    fn own_dialect(&self) -> Option<Dialect>;

    /// Looks whether machines can be started here at all, without starting one.
    ///
    /// # Errors
    /// They cannot; why, and what helps.
    fn find(&self) -> Result<(), Unavailable>;

    /// The board that a program needs.
    ///
    /// # Errors
    /// No machine can have it; which part, and why.
    fn board(&self, program: &Program) -> Result<Self::Board, Uncovered>;

    /// The smallest board.
    fn bare(&self) -> Self::Board;

    /// Whether a machine with the board `has` can have all that `needs` has.
    fn serves(&self, has: &Self::Board, needs: &Self::Board) -> bool;

    /// Starts a machine and waits until it takes calls.
    ///
    /// # Errors
    /// It is lost before that.
    fn boot(&self, board: &Self::Board) -> Result<Self::Running, Loss>;

    /// Why the system is not asked a call: it would take it for something else, or the call could harm it. `None` for
    /// calls that it is asked. `window` is the one that the call names, if the program has it.
    ///
    /// The text follows `QEMU is not asked opcode 0x4c: `, with the system's own [`thing`](Self::thing). The pipeline
    /// counts such a call as a step that was not asked, and the verdict on its program says so.
    fn leaves_out(&self, call: &Hypercall, window: Option<&WindowSpec>) -> Option<&'static str>;

    /// Whether a machine remembers programs in more than its windows and tables. Then a voter that must forget them
    /// starts another one.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether a step that is no hypercall changes something that the machine has a copy of, such as its windows. Other
    /// steps are the reference's alone.
    fn mirrors(&self, step: &Step) -> bool;
}

/// A machine that runs. Where a method finds that it is lost, it hands out the answers that had come by then first: the
/// oldest call without an answer is where it was lost. A machine that was lost is not called again.
pub trait Running {
    /// Makes the machine that of the next program: it has the program's windows, all of them zero, and no others as far
    /// as that can be. Calls of earlier programs may be on their way. `written` says which entries of the windows as
    /// they were may not be zero.
    ///
    /// # Errors
    /// It is lost.
    fn begin(&mut self, machine: &Machine, written: Written, expected: &mut Expected) -> Result<(), Loss>;

    /// Whether it has a window of that LIOBN. Some systems have windows that no program asked for.
    fn has(&self, liobn: Liobn) -> bool;

    /// Sees to it that the guest has this list when the next call is made.
    ///
    /// # Errors
    /// It is lost; or no list can lie there, and why.
    fn list(&mut self, list: List<'_>, expected: &mut Expected) -> Result<Result<(), Uncovered>, Loss>;

    /// Asks for a hypercall. The answer may come later, but comes after those of earlier calls; each goes to
    /// [`Expected::take`] once.
    ///
    /// # Errors
    /// It is lost.
    fn call(&mut self, call: &Hypercall, expected: &mut Expected) -> Result<(), Loss>;

    /// Waits until every call has been answered.
    ///
    /// # Errors
    /// It is lost.
    fn drain(&mut self, expected: &mut Expected) -> Result<(), Loss>;

    /// Does what a step does that it [mirrors](System::mirrors). All calls have been answered. The reference has done
    /// the step.
    ///
    /// # Errors
    /// It is lost; or it cannot do the step, and why.
    fn change(&mut self, step: &Step, reference: &Reference) -> Result<Result<(), Uncovered>, Loss>;
}

/// What a hypercall left in the registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// r3: the status.
    pub r3: u64,
    /// r4, which holds the LIOBN of the call where nothing was stored to it.
    pub r4: u64,
    /// Bits of r5 to r9 that did not come back as they went.
    pub others: u64,
}

/// The list of an H_PUT_TCE_INDIRECT, as the guest has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List<'a> {
    /// Its guest address in bytes, a multiple of 4096.
    pub gpa: u64,
    /// Its words, 1 to 512 of them; zeros where the guest has no memory there.
    pub words: &'a [u64],
    /// Whether the guest has memory there.
    pub backed: bool,
}

/// The entries that programs may have written since they were last zero, by the LIOBN of the window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Nothing is known of the tables: any entry of any window may be written. The ranges say nothing then.
    pub anything: bool,
    /// By window, a range that has all of them.
    pub entries: BTreeMap<Liobn, Range<u64>>,
}

impl Written {
    /// Adds a range of a window's entries.
    pub fn add(&mut self, liobn: Liobn, entries: &Range<u64>) {
        let all = self.entries.entry(liobn).or_insert_with(|| entries.clone());
        *all = all.start.min(entries.start)..all.end.max(entries.end);
    }

    /// The range of a window, empty where nothing was written.
    #[must_use]
    pub fn of(&self, liobn: Liobn) -> Range<u64> {
        self.entries.get(&liobn).cloned().unwrap_or_default()
    }
}

/// The address by which entry `index` is reached, if one is. A base may be unaligned only in a dialect that rounds
/// addresses down to pages. Then the address is not the entry's own.
#[must_use]
pub fn ioba(window: &WindowSpec, index: u64) -> Option<u64> {
    let first = window.base.checked_next_multiple_of(window.page())?;
    first.checked_add(index.checked_mul(window.page())?)
}

/// The entries that a call may store to, told from its registers alone: more rather than less.
#[must_use]
pub(super) fn reach(window: &WindowSpec, call: &Hypercall) -> Option<Range<u64>> {
    let [_, ioba, _, _] = call.args;
    let first = (ioba & !(window.page() - 1)).checked_sub(window.base)? >> window.page_shift;
    (first < window.entries).then(|| first..window.entries.min(first.saturating_add(call.count())))
}
