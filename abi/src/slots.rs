//! The memory slots, as the services look addresses up in them.

use contract::description::{Machine, SlotSpec};
use contract::{Gpa, Hva};

/// The memory slots of the running machine, in which the services look up guest physical addresses.
#[derive(Default)]
pub struct Slots {
    slots: Vec<SlotSpec>,
    page_shift: u32,
}

impl Slots {
    /// Replaces all slots by those that `machine` starts with.
    pub fn reset(&mut self, machine: &Machine) {
        self.slots.clear();
        self.slots.extend_from_slice(&machine.slots);
        self.page_shift = machine.page_shift.bits();
    }

    /// Sets the slot with number `slot.id`, or deletes it if `slot.pages` is 0.
    pub fn set(&mut self, slot: &SlotSpec) {
        self.slots.retain(|other| other.id != slot.id);
        if slot.pages > 0 {
            self.slots.push(*slot);
        }
    }

    /// Returns the host virtual address of the byte at guest physical address `gpa`; `None` if `gpa` lies in no slot.
    pub fn hva(&self, gpa: Gpa) -> Option<Hva> {
        let gfn = gpa.0 >> self.page_shift;
        let slot = self.slots.iter().find(|slot| gfn.checked_sub(slot.gfn.0).is_some_and(|page| page < slot.pages))?;
        let within = gpa.0 & ((1 << self.page_shift) - 1);
        Some(Hva(slot.hva.0 + ((gfn - slot.gfn.0) << self.page_shift) + within))
    }
}
