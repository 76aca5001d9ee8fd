//! Describes a machine to a library: `struct rm_machine`, and the arrays that it points to.

use core::ffi::c_void;
use core::ptr;

use contract::description::{AddrRun, Machine, MemoryModel, SlotSpec, WindowSpec};
use contract::{Backing, Dialect};

use crate::header::{
    RM_EMULATED, RM_FLATMEM, RM_KVM, RM_LOPAPR, RM_PINNED, RM_QEMU, RM_VMEMMAP, rm_blocks, rm_machine, rm_run, rm_slot,
    rm_window,
};
use crate::services::SERVICES;

/// Returns the number of the dialect in the header: `RM_LOPAPR`, `RM_KVM` or `RM_QEMU`.
pub const fn dialect_number(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Lopapr => RM_LOPAPR,
        Dialect::Kvm => RM_KVM,
        Dialect::Qemu => RM_QEMU,
    }
}

/// Converts a run of vmemmap blocks to `struct rm_run`.
pub fn run(run: &AddrRun) -> rm_run {
    rm_run { real: run.at.0, count: run.count }
}

/// Converts a memory slot to `struct rm_slot`.
pub fn slot(slot: &SlotSpec) -> rm_slot {
    rm_slot { id: slot.id, reserved: 0, gfn: slot.gfn.0, pages: slot.pages, hva: slot.hva.0 }
}

/// Converts a DMA window to `struct rm_window`.
pub fn window(window: &WindowSpec) -> rm_window {
    let (backing, hardware) = match window.backing {
        Backing::Emulated => (RM_EMULATED, 0),
        Backing::Pinned { hardware } => (RM_PINNED, hardware.0),
    };
    rm_window {
        liobn: window.liobn.0,
        page_shift: window.page_shift,
        backing,
        base: window.base,
        entries: window.entries,
        table: window.table.0,
        hardware,
    }
}

/// The description of a machine that a library gets, and the arrays to which the description points.
pub struct Described {
    machine: rm_machine,
    sections: Vec<u64>,
    blocks: Vec<rm_blocks>,
    slots: Vec<rm_slot>,
    windows: Vec<rm_window>,
}

impl Described {
    /// Makes a description without a machine: all arrays are empty, and only the services are set.
    pub fn new() -> Self {
        let machine = rm_machine {
            dialect: 0,
            page_shift: 0,
            struct_page: 0,
            memory_model: RM_FLATMEM,
            array: 0,
            pages: 0,
            vmemmap_base: 0,
            block_shift: 0,
            reserved: 0,
            list: 0,
            sections: ptr::null(),
            section_count: 0,
            blocks: ptr::null(),
            block_count: 0,
            slots: ptr::null(),
            slot_count: 0,
            windows: ptr::null(),
            window_count: 0,
            services: &raw const SERVICES,
            linear: ptr::null_mut(),
        };
        Self { machine, sections: Vec::new(), blocks: Vec::new(), slots: Vec::new(), windows: Vec::new() }
    }

    /// Replaces the description by that of `machine` in dialect `dialect`. `linear` is the pointer to the byte at real
    /// address 0, or null if the simulated memory is not mapped. The previous description becomes invalid, so the
    /// caller has stopped the implementation that uses it.
    pub fn describe(&mut self, dialect: Dialect, machine: &Machine, linear: *mut c_void) {
        self.sections.clear();
        self.blocks.clear();
        self.slots.clear();
        self.slots.extend(machine.slots.iter().map(slot));
        self.windows.clear();
        self.windows.extend(machine.windows.iter().map(window));
        let told = &mut self.machine;
        told.dialect = dialect_number(dialect);
        told.page_shift = machine.page_shift.bits();
        told.struct_page = machine.struct_page as u32;
        (told.array, told.pages, told.vmemmap_base, told.block_shift, told.list) = (0, 0, 0, 0, 0);
        match &machine.memory {
            MemoryModel::Flatmem { array, pages } => {
                told.memory_model = RM_FLATMEM;
                (told.array, told.pages) = (array.0, *pages);
            }
            MemoryModel::SparsememVmemmap { base, block_shift, list, sections, blocks } => {
                told.memory_model = RM_VMEMMAP;
                (told.vmemmap_base, told.block_shift, told.list) = (*base, *block_shift, list.0);
                self.sections.extend_from_slice(sections);
                self.blocks
                    .extend(blocks.iter().map(|blocks| rm_blocks { first: blocks.first, run: run(&blocks.places) }));
            }
        }
        (told.sections, told.section_count) = (self.sections.as_ptr(), self.sections.len());
        (told.blocks, told.block_count) = (self.blocks.as_ptr(), self.blocks.len());
        (told.slots, told.slot_count) = (self.slots.as_ptr(), self.slots.len());
        (told.windows, told.window_count) = (self.windows.as_ptr(), self.windows.len());
        told.linear = linear;
    }

    /// Returns the pointer to the description, which a library gets. The pointer is valid until the next call of
    /// [`describe`](Self::describe), while `self` stays at its place.
    pub const fn pointer(&self) -> *const rm_machine {
        &raw const self.machine
    }
}
