//! The state that handlers borrow: tables, page index and scratch memory.
//!
//! Start clears and reuses its memory, because fuzzing starts tens of thousands of machines a second. No vector ever
//! shrinks, and scratch grows to the largest need seen: at most 8 vCPUs x (1024 + 65536) words, 4.1 MiB.

extern crate alloc;

use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;

use contract::addr::Liobn;
use contract::description::{Machine, SlotSpec, WindowSpec};
use contract::dialect::Dialect;
use contract::hcall::MAX_TCES_PER_CALL;
use contract::program::MAX_VCPUS;
use machine::memory::Cpu;

use crate::dialect::Profile;
use crate::pages::PageIndex;
use crate::scratch::Scratch;
use crate::slot::{self, Slot};
use crate::view::View;
use crate::window::Window;

use super::exchange;

/// The scratch memory of one vCPU, which handlers get as a [`Scratch`]; that type describes the fields. A [`State`] has
/// one for each vCPU and keeps them from machine to machine.
struct OwnedScratch {
    list: Vec<AtomicU64>,
    hardware: Vec<AtomicU64>,
    journal: Vec<AtomicU64>,
    owed: AtomicU64,
}

impl Default for OwnedScratch {
    fn default() -> Self {
        let words = || zeros(MAX_TCES_PER_CALL as usize);
        Self { list: words(), hardware: words(), journal: Vec::new(), owed: AtomicU64::new(0) }
    }
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// The `owed` word of a vCPU whose number is out of range. Such a vCPU has no scratch memory, so its calls that need
/// scratch memory are deferred or refused.
static NO_VCPU: AtomicU64 = AtomicU64::new(0);

/// The whole state of the candidate.
pub struct State {
    profile: &'static Profile,
    page_shift: u32,
    windows: Vec<Window>,
    slots: Vec<Slot>,
    pages: PageIndex,
    scratch: [OwnedScratch; MAX_VCPUS as usize],
}

impl Default for State {
    fn default() -> Self {
        Self {
            profile: Profile::of(Dialect::default()),
            page_shift: 12,
            windows: Vec::new(),
            slots: Vec::new(),
            pages: PageIndex::default(),
            scratch: Default::default(),
        }
    }
}

impl State {
    /// Returns the state as a handler on `vcpu` sees it.
    #[inline]
    pub fn view(&self, vcpu: u8) -> View<'_> {
        let scratch = match self.scratch.get(usize::from(vcpu)) {
            Some(own) => Scratch { list: &own.list, hardware: &own.hardware, journal: &own.journal, owed: &own.owed },
            None => Scratch { list: &[], hardware: &[], journal: &[], owed: &NO_VCPU },
        };
        View {
            profile: self.profile,
            page_shift: self.page_shift,
            windows: &self.windows,
            slots: &self.slots,
            pages: &self.pages,
            scratch,
        }
    }

    /// Returns the page index, which handlers and hot-plug share.
    pub const fn pages(&self) -> &PageIndex {
        &self.pages
    }

    /// Forgets the earlier machine and sets up a new one.
    pub fn start(&mut self, dialect: Dialect, machine: &Machine) {
        self.profile = Profile::of(dialect);
        self.page_shift = machine.page_shift.bits();
        self.pages.start(machine.page_shift, machine.struct_page, &machine.memory);
        self.slots.clear();
        self.slots.extend(machine.slots.iter().filter_map(slot_of));
        slot::index(&mut self.slots);
        self.windows.clear();
        self.windows.extend(machine.windows.iter().map(Window::from));
        self.windows.sort_unstable_by_key(|window| window.liobn);
        for scratch in &mut self.scratch {
            *scratch.owed.get_mut() = 0;
        }
        let largest = self.windows.iter().map(|window| self.journal_words(window)).max();
        self.grow_journals(largest.unwrap_or(0));
    }

    /// Sets a memory slot, or deletes it if `pages` is 0.
    pub fn set_slot(&mut self, spec: &SlotSpec) {
        self.slots.retain(|slot| slot.id != spec.id);
        self.slots.extend(slot_of(spec));
        slot::index(&mut self.slots);
    }

    /// Adds a window that was created.
    pub fn create_window(&mut self, spec: &WindowSpec) {
        let window = Window::from(spec);
        self.grow_journals(self.journal_words(&window));
        match self.windows.binary_search_by_key(&window.liobn, |window| window.liobn) {
            // A correct host never creates a LIOBN twice. If it does, the new window replaces the old.
            Ok(at) => {
                if let Some(known) = self.windows.get_mut(at) {
                    *known = window;
                }
            }
            Err(at) => self.windows.insert(at, window),
        }
    }

    /// Clears all entries of a window and removes it.
    pub fn close_window(&mut self, cpu: &Cpu<'_>, liobn: Liobn) {
        if let Ok(at) = self.windows.binary_search_by_key(&liobn, |window| window.liobn) {
            let window = self.windows.remove(at);
            exchange::clear(&self.view(cpu.vcpu()), cpu, &window);
        }
    }

    /// Returns the largest number of entries that one call can write in a pinned window, 0 for an emulated one.
    fn journal_words(&self, window: &Window) -> usize {
        let most = window.entries.min(self.profile.max_stuff_entries);
        if window.hardware.is_some() { most as usize } else { 0 }
    }

    fn grow_journals(&mut self, words: usize) {
        for scratch in &mut self.scratch {
            if let Some(more) = words.checked_sub(scratch.journal.len()) {
                scratch.journal.extend(zeros(more));
            }
        }
    }
}

/// Converts a slot's description; `None` if the slot has no pages, or if its last gfn does not fit 64 bits.
fn slot_of(spec: &SlotSpec) -> Option<Slot> {
    let last = spec.gfn.0.checked_add(spec.pages.checked_sub(1)?)?;
    Some(Slot { first: spec.gfn.0, last, run_last: last, hva: spec.hva.0, id: spec.id })
}
