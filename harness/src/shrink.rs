//! Makes a failing program small, keeping what it shows: rule, field and kind of step.
//!
//! The order is that of syzkaller: cut the tail, drop stretches of steps, drop single steps, then the machine's items,
//! then values. Rounds repeat until one changes nothing; the last round has then tried to drop every single step and
//! every single item, so the result is *1-minimal*: without any one of them the finding is gone, or another.

use std::collections::BTreeMap;

use contract::description::{MemoryModel, WordRun};
use contract::hcall::MAX_TCES_PER_CALL;
use contract::{Backing, Dialect, Hypercall, Program, Pte, Step};

use crate::check::{Checker, Finding, Identity, Place};
use programs::layout::remove_section;

/// A shrunk program.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The program.
    pub program: Program,
    /// What it shows: the same rule, field and kind of step as before.
    pub finding: Finding,
    /// Whether it is 1-minimal; not where the budget of checks ran out first.
    pub minimal: bool,
    /// Programs that were tried.
    pub checks: u64,
}

/// Most programs that shrinking tries.
pub const MAX_CHECKS: u64 = 50_000;
/// Most of them that cost the judge far more than the others. Only numbers of windows do: without them the result is
/// 1-minimal as well.
const MAX_COSTLY: u64 = 50;

/// Who says whether a program still shows a finding.
pub trait Judge {
    /// What it finds on the program, if it is valid.
    fn finding(&mut self, program: &Program) -> Option<Finding>;

    /// Forgets every program that it was shown. Answers false where it cannot.
    fn renew(&mut self) -> bool;

    /// Whether a program means the same to it in another dialect, as far as findings go.
    fn any_dialect(&self) -> bool {
        true
    }

    /// Whether going from one program to another costs it far more than most ways, such as a machine that must be
    /// booted.
    fn is_costly(&self, _from: &Program, _to: &Program) -> bool {
        false
    }
}

impl Judge for Checker {
    fn finding(&mut self, program: &Program) -> Option<Finding> {
        self.check(program).into_finding()
    }

    fn renew(&mut self) -> bool {
        Self::renew(self).unwrap_or(false)
    }
}

/// Shrinks a program on which `judge` finds something; `None` if it does not.
pub fn shrink(judge: &mut dyn Judge, program: &Program) -> Option<Shrunk> {
    let finding = judge.finding(program)?;
    let mut shrinker =
        Shrinker { judge, identity: finding.identity(), best: program.clone(), finding, checks: 0, costly: 0 };
    let mut minimal = false;
    while !minimal && shrinker.checks < MAX_CHECKS {
        let mut changed = shrinker.cut_tail();
        changed |= shrinker.drop_steps();
        changed |= shrinker.drop_items();
        changed |= shrinker.drop_sections();
        changed |= shrinker.values();
        minimal = !changed && shrinker.checks < MAX_CHECKS;
    }
    let Shrinker { best: program, finding, checks, .. } = shrinker;
    Some(Shrunk { program, finding, minimal, checks })
}

struct Shrinker<'a> {
    judge: &'a mut dyn Judge,
    identity: Identity,
    best: Program,
    finding: Finding,
    checks: u64,
    costly: u64,
}

impl Shrinker<'_> {
    /// Keeps `program` if it shows the same.
    fn try_program(&mut self, program: Program) -> bool {
        if program == self.best || self.checks >= MAX_CHECKS {
            return false;
        }
        if self.judge.is_costly(&self.best, &program) {
            if self.costly == MAX_COSTLY {
                return false;
            }
            self.costly += 1;
        }
        self.checks += 1;
        match self.judge.finding(&program) {
            Some(finding) if finding.identity() == self.identity => {
                self.best = program;
                self.finding = finding;
                true
            }
            _ => false,
        }
    }

    fn try_change(&mut self, change: impl FnOnce(&mut Program)) -> bool {
        let mut program = self.best.clone();
        change(&mut program);
        self.try_program(program)
    }

    fn cut_tail(&mut self) -> bool {
        let keep = match self.finding.place {
            Place::Start => 0,
            Place::Step(index) => index + 1,
            Place::End => return false,
        };
        keep < self.best.steps.len() && self.try_change(|program| program.steps.truncate(keep))
    }

    fn drop_steps(&mut self) -> bool {
        self.drop_from(|program| program.steps.len(), |program, range| drop(program.steps.drain(range)))
    }

    /// Drops stretches of a list, halves first, then ever shorter ones down to single elements.
    fn drop_from(
        &mut self,
        length: impl Fn(&Program) -> usize,
        remove: impl Fn(&mut Program, std::ops::Range<usize>),
    ) -> bool {
        let mut changed = false;
        let mut chunk = length(&self.best).div_ceil(2).max(1);
        loop {
            // From the end: what comes later depends on what comes earlier.
            let mut end = length(&self.best);
            while end > 0 {
                let start = end.saturating_sub(chunk);
                if self.try_change(|program| remove(program, start..end)) {
                    changed = true;
                }
                end = start.min(length(&self.best));
            }
            if chunk == 1 {
                return changed;
            }
            chunk = chunk.div_ceil(2);
        }
    }

    fn drop_items(&mut self) -> bool {
        let mut changed = self.drop_from(|p| p.machine.windows.len(), |p, range| drop(p.machine.windows.drain(range)));
        changed |= self.drop_from(|p| p.machine.mappings.len(), |p, range| drop(p.machine.mappings.drain(range)));
        changed |= self.drop_from(|p| p.machine.slots.len(), |p, range| drop(p.machine.slots.drain(range)));
        changed |= self.drop_from(|p| p.machine.pages.len(), |p, range| drop(p.machine.pages.drain(range)));
        changed |= self.drop_from(|p| p.machine.compounds.len(), |p, range| drop(p.machine.compounds.drain(range)));
        changed |= self.drop_from(|p| p.machine.ram.len(), |p, range| drop(p.machine.ram.drain(range)));
        changed
    }

    fn drop_sections(&mut self) -> bool {
        let MemoryModel::SparsememVmemmap { sections, .. } = &self.best.machine.memory else { return false };
        let mut changed = false;
        for section in sections.clone() {
            changed |= self.try_change(|program| remove_section(&mut program.machine, section));
        }
        changed
    }

    fn values(&mut self) -> bool {
        let mut changed = self.judge.any_dialect() && self.try_change(|program| program.dialect = Dialect::Lopapr);
        changed |= self.kinds();
        changed |= self.runs();
        let mut index = 0;
        loop {
            let mut value = None;
            let mut count = 0;
            let mut copy = self.best.clone();
            numbers(&mut copy, &mut |number| {
                if count == index {
                    value = Some(*number);
                }
                count += 1;
            });
            let Some(value) = value else { break };
            for smaller in simpler(value) {
                if self.try_change(|program| set_number(program, index, smaller)) {
                    changed = true;
                    break;
                }
            }
            index += 1;
        }
        changed | self.shared_values()
    }

    /// Numbers that stand in several places change together: a LIOBN in its window and calls, the IOBA of two calls.
    fn shared_values(&mut self) -> bool {
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        numbers(&mut self.best.clone(), &mut |number| *times.entry(*number).or_default() += 1);
        let mut changed = false;
        for (&value, _) in times.iter().filter(|(_, times)| **times > 1) {
            for smaller in simpler(value) {
                let replaced = self.try_change(|program| {
                    numbers(program, &mut |number| {
                        if *number == value {
                            *number = smaller;
                        }
                    });
                });
                if replaced {
                    changed = true;
                    break;
                }
            }
        }
        changed
    }

    /// Plainer kinds of things: emulated windows, page-table entries without fault.
    fn kinds(&mut self) -> bool {
        let mut changed = false;
        for index in 0..self.best.machine.windows.len() {
            changed |= self.try_change(|program| program.machine.windows[index].backing = Backing::Emulated);
        }
        for index in 0..self.best.machine.mappings.len() {
            changed |= self.try_change(|program| plain(&mut program.machine.mappings[index].pte));
        }
        for index in 0..self.best.steps.len() {
            changed |= self.try_change(|program| match &mut program.steps[index] {
                Step::Map { pte, .. } => plain(pte),
                Step::Hypercall { vcpu, .. } => *vcpu = 0,
                _ => {}
            });
            // Registers that the call does not read.
            changed |= self.try_change(|program| {
                if let Step::Hypercall { call, .. } = &mut program.steps[index] {
                    let used = call.fields().len();
                    if used > 0 {
                        call.args[used..].fill(0);
                    }
                }
            });
            changed |= self.single_entry(index);
        }
        // A window that is created may as well be there from the start.
        for index in (0..self.best.steps.len()).rev() {
            if let Some(&Step::CreateWindow(window)) = self.best.steps.get(index) {
                changed |= self.try_change(|program| {
                    program.steps.remove(index);
                    program.machine.windows.push(window);
                });
            }
        }
        for index in 0..self.best.machine.pages.len() {
            changed |= self.try_change(|program| program.machine.pages[index].dirty = false);
            for own in [0, 1] {
                if own < self.best.machine.pages[index].own.unsigned_abs() {
                    changed |= self.try_change(|program| program.machine.pages[index].own = own as i32);
                }
            }
        }
        changed
    }

    /// A call of several entries that need not be one becomes H_PUT_TCE; the failing step keeps its kind by the
    /// identity.
    fn single_entry(&mut self, index: usize) -> bool {
        let Some(Step::Hypercall { call, .. }) = self.best.steps.get(index) else { return false };
        let [liobn, ioba, value, _] = call.args;
        match call.opcode {
            contract::hcall::H_STUFF_TCE => self.try_change(|program| {
                if let Step::Hypercall { call, .. } = &mut program.steps[index] {
                    *call = Hypercall::put(liobn, ioba, value);
                }
            }),
            contract::hcall::H_PUT_TCE_INDIRECT => {
                let last = call.args[3].min(MAX_TCES_PER_CALL).saturating_sub(1);
                let shift = self.window_shift(liobn);
                [0, last].into_iter().any(|entry| {
                    let at = value.wrapping_add(8 * entry);
                    let word = |step: &Step| match step {
                        Step::Write { gpa, words } => {
                            let index = at.checked_sub(gpa.0)? / 8;
                            contract::description::words(words).nth(usize::try_from(index).ok()?)
                        }
                        _ => None,
                    };
                    // Memory that was never written holds zeros.
                    let tce = self.best.steps[..index].iter().rev().find_map(word).unwrap_or(0);
                    let ioba = ioba.wrapping_add(entry.wrapping_shl(shift));
                    self.try_change(|program| {
                        if let Step::Hypercall { call, .. } = &mut program.steps[index] {
                            *call = Hypercall::put(liobn, ioba, tce);
                        }
                    })
                })
            }
            _ => false,
        }
    }

    /// log2 of the page of the window with that LIOBN.
    fn window_shift(&self, liobn: u64) -> u32 {
        let created = self.best.steps.iter().filter_map(|step| match step {
            Step::CreateWindow(window) => Some(window),
            _ => None,
        });
        let mut windows = self.best.machine.windows.iter().chain(created);
        windows.find(|window| window.liobn.0 == liobn).map_or(12, |window| window.page_shift)
    }

    /// Shorter lists of runs.
    fn runs(&mut self) -> bool {
        let mut changed = false;
        for index in 0..self.best.steps.len() {
            let length = match &self.best.steps[index] {
                Step::Write { words, .. } => words.len(),
                Step::HotAdd { blocks, .. } => blocks.len(),
                _ => 0,
            };
            for run in (0..length).rev() {
                changed |= self.try_change(|program| match &mut program.steps[index] {
                    Step::Write { words, .. } => _ = words.remove(run),
                    Step::HotAdd { blocks, .. } => _ = blocks.remove(run),
                    _ => {}
                });
            }
        }
        for index in 0..self.best.machine.ram.len() {
            for run in (0..self.best.machine.ram[index].words.len()).rev() {
                changed |= self.try_change(|program| _ = program.machine.ram[index].words.remove(run));
            }
        }
        changed
    }
}

/// Values to try in a number's place, plainest first; all are smaller.
fn simpler(value: u64) -> impl Iterator<Item = u64> {
    let lowest_bit_gone = value & value.wrapping_sub(1);
    let highest_bit_gone = value & (u64::MAX >> 1).checked_shr(value.leading_zeros()).unwrap_or(0);
    [
        0,
        1,
        2,
        4,
        8,
        16,
        value / 16,
        highest_bit_gone,
        value / 2,
        lowest_bit_gone,
        value.wrapping_sub(0x1000),
        value.wrapping_sub(1),
    ]
    .into_iter()
    .filter(move |&other| other < value)
}

fn plain(pte: &mut Pte) {
    match pte {
        Pte::Present { writable, dirty, young, .. } | Pte::Huge { writable, dirty, young, .. } => {
            (*writable, *dirty, *young) = (true, true, true);
        }
        Pte::Absent { pfn } => *pte = Pte::Present { pfn: *pfn, writable: true, dirty: true, young: true },
        Pte::Hole => {}
    }
}

fn set_number(program: &mut Program, index: usize, value: u64) {
    let mut count = 0;
    numbers(program, &mut |number| {
        if count == index {
            *number = value;
        }
        count += 1;
    });
}

/// Visits every number that may shrink, in a fixed order.
fn numbers(program: &mut Program, visit: &mut dyn FnMut(&mut u64)) {
    let machine = &mut program.machine;
    if let MemoryModel::Flatmem { pages, .. } = &mut machine.memory {
        visit(pages);
    }
    for window in &mut machine.windows {
        visit(&mut window.liobn.0);
        visit(&mut window.entries);
        visit(&mut window.base);
        visit_u32(&mut window.page_shift, visit);
    }
    for slot in &mut machine.slots {
        visit(&mut slot.pages);
        visit(&mut slot.gfn.0);
    }
    for mapping in &mut machine.mappings {
        visit(&mut mapping.pages);
    }
    for ram in &mut machine.ram {
        ram.words.iter_mut().for_each(|run| visit_run(run, visit));
    }
    for step in &mut program.steps {
        match step {
            Step::Hypercall { call, .. } => call.args.iter_mut().for_each(&mut *visit),
            Step::Lookup { pfn } | Step::GetPage { pfn } | Step::PutPage { pfn } => visit(&mut pfn.0),
            Step::Write { words, .. } => words.iter_mut().for_each(|run| visit_run(run, visit)),
            Step::HotAdd { blocks, .. } => blocks.iter_mut().for_each(|run| visit(&mut run.count)),
            Step::CloseWindow { liobn } => visit(&mut liobn.0),
            Step::CreateWindow(window) => {
                visit(&mut window.liobn.0);
                visit(&mut window.entries);
                visit(&mut window.base);
            }
            Step::Slot(slot) => {
                visit(&mut slot.pages);
                visit(&mut slot.gfn.0);
            }
            _ => {}
        }
    }
}

fn visit_u32(number: &mut u32, visit: &mut dyn FnMut(&mut u64)) {
    let mut wide = u64::from(*number);
    visit(&mut wide);
    *number = wide as u32;
}

fn visit_run(run: &mut WordRun, visit: &mut dyn FnMut(&mut u64)) {
    visit(&mut run.count);
    visit(&mut run.stride);
    visit(&mut run.value);
}
