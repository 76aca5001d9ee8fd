//! A visitor over every number of a program, with the meaning of each number.
//!
//! Printing, encoding, mutation, repair, shrinking and statistics go through the numbers of a program. This module is
//! the only list of them. [`visit`] and [`visit_mut`] go through a whole program, [`Numbers`] through one item or step.
//! They visit each number once, in the order in which the text form prints them. A flag is a number of one bit. What is
//! not a number is not visited: the dialect, the memory model, and the kinds of steps, page-table entries and backings.
//!
//! Every walk destructures its types without `..`, so a new field does not compile until it is visited here.
//!
//! ```
//! use contract::visit::{Field, NumberKind, Numbers as _};
//! use contract::{Hva, Pfn, Step};
//!
//! let mut step = Step::Migrate { hva: Hva(0x7000), pfn: Pfn(5) };
//! let mut seen = Vec::new();
//! step.numbers(&mut |field, value| seen.push((field, value)));
//! assert_eq!(seen, [(Field::Hva, 0x7000), (Field::Pfn, 5)]);
//!
//! step.numbers_mut(&mut |field, value| {
//!     if field.kind() == NumberKind::Pfn {
//!         *value += 1;
//!     }
//! });
//! assert_eq!(step, Step::Migrate { hva: Hva(0x7000), pfn: Pfn(6) });
//! ```

use crate::addr::{Gfn, Gpa, Hva, Liobn, Pfn, RealAddr};
use crate::description::{
    AddrRun, Backing, BlockRun, CompoundSpec, Item, Machine, Mapping, MemoryModel, PageShift, PageSpec, Pte, RamSpec,
    SlotSpec, WindowSpec, WordRun,
};
use crate::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, Hypercall};
use crate::program::{Program, Step};

/// What a number of a program means. Two numbers of one kind can be compared, and one can stand in the place of the
/// other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NumberKind {
    /// Page frame number of the host.
    Pfn,
    /// Guest frame number: guest physical address >> PAGE_SHIFT.
    Gfn,
    /// Guest physical address in bytes.
    Gpa,
    /// Host virtual address in bytes.
    Hva,
    /// LIOBN: names a DMA window in a hypercall.
    Liobn,
    /// I/O bus address in bytes.
    Ioba,
    /// Translation control entry: permission bits and an address.
    Tce,
    /// Real address of the host in bytes.
    Real,
    /// Virtual address of the host kernel in bytes.
    Virtual,
    /// A number of pages, page-table entries, TCEs, words or blocks.
    Count,
    /// Difference between one 8-byte word of a run and the next, added with wrapping.
    Stride,
    /// log2 of a size in bytes.
    Shift,
    /// Size in bytes.
    Bytes,
    /// Order of a compound page: log2 of the number of its pages.
    Order,
    /// Number of a section of memory: real address >> 24.
    Section,
    /// Number of a vmemmap block: (virtual address of the block - virtual address of the struct page of pfn 0) / block
    /// size.
    Block,
    /// Number of a memory slot, from 0.
    Slot,
    /// Number of references that the host itself holds on a page; signed.
    Own,
    /// Number of a vCPU, from 0.
    Vcpu,
    /// Opcode of a hypercall (r3).
    Opcode,
    /// Value of an argument register (r4 to r7) that the hypercall does not read.
    Unread,
    /// A flag of a page or a page-table entry: 0 or 1.
    Flag,
}

/// How the text form writes the number of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notation {
    /// In hexadecimal, such as `0x1f`.
    Hexadecimal,
    /// In decimal, such as `31`.
    Decimal,
    /// In decimal with a sign if it is negative, such as `-31`. A visitor gets the number sign-extended to 64 bits.
    Signed,
    /// As the label of the field (for example `dirty`) if the flag is 1. The text form does not write a flag that is 0.
    Word,
}

macro_rules! fields {
    (
        $($(#[$doc:meta])* $name:ident: $kind:ident, $label:literal, $notation:ident, $bits:literal bits,
            $step_bits:literal in a step;)*
    ) => {
        /// A field of a machine's description or of a step that holds a number.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Field {
            $($(#[$doc])* $name,)*
        }

        impl Field {
            /// All fields, in the order of the variants of [`Field`].
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What the number of the field means.
            #[must_use]
            pub const fn kind(self) -> NumberKind {
                match self {
                    $(Self::$name => NumberKind::$kind,)*
                }
            }

            /// The name of the field. The text form writes `label=` before the number, except for flags, inside a run
            /// (`at=0x1000*3`), and before the first number of most lines.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }

            /// How the text form writes the number of the field.
            #[must_use]
            pub const fn notation(self) -> Notation {
                match self {
                    $(Self::$name => Notation::$notation,)*
                }
            }

            /// How many low bits of the number can be used, as (bits in a valid description of a machine, bits in a
            /// valid step).
            const fn widths(self) -> (u32, u32) {
                match self {
                    $(Self::$name => ($bits, $step_bits),)*
                }
            }
        }
    };
}

// Each row: the field, its kind, label and notation, and how many low bits of its number can be used in a valid
// description of a machine and in a valid step. Some fields have more bits in a step, because a step may name what its
// machine does not have.
fields! {
    /// PAGE_SHIFT of the host, 12 or 16: log2 of the page size in bytes. A visitor that stores any other value changes
    /// nothing.
    HostShift: Shift, "page_shift", Decimal, 5 bits, 5 in a step;
    /// Size of a struct page in bytes.
    StructPage: Bytes, "struct_page", Decimal, 7 bits, 7 in a step;
    /// Real address in bytes of the array of struct pages (flatmem).
    Array: Real, "array", Hexadecimal, 46 bits, 46 in a step;
    /// Number of host pages that exist (flatmem).
    MemoryPages: Count, "pages", Decimal, 35 bits, 35 in a step;
    /// Virtual address in bytes of the struct page of pfn 0 (sparsemem-vmemmap).
    VmemmapBase: Virtual, "base", Hexadecimal, 64 bits, 64 in a step;
    /// log2 of the size of a vmemmap block in bytes.
    BlockShift: Shift, "block_shift", Decimal, 5 bits, 5 in a step;
    /// Real address in bytes of the area that holds the vmemmap list.
    ListArea: Real, "list", Hexadecimal, 46 bits, 46 in a step;
    /// Number of a section of memory: real address >> 24.
    Section: Section, "section", Hexadecimal, 22 bits, 64 in a step;
    /// Number of the first vmemmap block of a run.
    Block: Block, "block", Hexadecimal, 29 bits, 29 in a step;
    /// Real address in bytes of the first vmemmap block of a run.
    BlockAt: Real, "at", Hexadecimal, 46 bits, 64 in a step;
    /// Number of vmemmap blocks of a run.
    Blocks: Count, "blocks", Decimal, 16 bits, 16 in a step;
    /// Number of the vCPU that makes a hypercall, from 0.
    Vcpu: Vcpu, "vcpu", Decimal, 3 bits, 3 in a step;
    /// Number of a memory slot, from 0.
    Slot: Slot, "slot", Decimal, 9 bits, 32 in a step;
    /// Number of the first guest frame of a memory slot.
    Gfn: Gfn, "gfn", Hexadecimal, 52 bits, 64 in a step;
    /// Size of a memory slot in host pages. 0 in a step deletes the slot.
    SlotPages: Count, "pages", Decimal, 53 bits, 64 in a step;
    /// Host virtual address in bytes of a mapping, a memory slot or a step.
    Hva: Hva, "hva", Hexadecimal, 64 bits, 64 in a step;
    /// Page frame number of the host. In a valid description page lines name no tail, and huge entries name the head.
    Pfn: Pfn, "pfn", Hexadecimal, 34 bits, 64 in a step;
    /// Number of references that the host itself holds on a page.
    Own: Own, "own", Signed, 32 bits, 32 in a step;
    /// DIRTY in the flags of a struct page: 1 if it is set.
    PageDirty: Flag, "dirty", Word, 1 bits, 1 in a step;
    /// Order of a compound page: log2 of the number of its pages.
    Order: Order, "order", Decimal, 4 bits, 4 in a step;
    /// Order of the compound page that a huge entry covers: log2 of the number of its pages.
    HugeOrder: Order, "order", Decimal, 4 bits, 4 in a step;
    /// Whether a page-table entry lets the page be written: 1 if it does.
    Writable: Flag, "writable", Word, 1 bits, 1 in a step;
    /// Dirty bit of a page-table entry: 1 if the page was written.
    Dirty: Flag, "dirty", Word, 1 bits, 1 in a step;
    /// Young bit of a page-table entry: 1 if the page was used lately.
    Young: Flag, "young", Word, 1 bits, 1 in a step;
    /// Number of page-table entries of a mapping.
    MapPages: Count, "pages", Decimal, 17 bits, 17 in a step;
    /// Real address in bytes of the first word of memory contents, in a description.
    RamAt: Real, "at", Hexadecimal, 46 bits, 46 in a step;
    /// Guest physical address in bytes of the first word that step `write` stores.
    Gpa: Gpa, "gpa", Hexadecimal, 64 bits, 64 in a step;
    /// First 8-byte word of a run of words, which can be the TCEs of a list.
    Word: Tce, "word", Hexadecimal, 64 bits, 64 in a step;
    /// Difference between one 8-byte word of a run and the next.
    Stride: Stride, "stride", Hexadecimal, 64 bits, 64 in a step;
    /// Number of 8-byte words of a run.
    Words: Count, "words", Decimal, 17 bits, 14 in a step;
    /// LIOBN of a DMA window. In a hypercall it is r4.
    Liobn: Liobn, "liobn", Hexadecimal, 64 bits, 64 in a step;
    /// log2 of the size in bytes of the page that one entry of a DMA window maps.
    WindowShift: Shift, "page_shift", Decimal, 6 bits, 8 in a step;
    /// I/O bus address in bytes of entry 0 of a DMA window.
    WindowBase: Ioba, "base", Hexadecimal, 64 bits, 64 in a step;
    /// Number of entries (TCEs) of a DMA window.
    Entries: Count, "entries", Decimal, 17 bits, 19 in a step;
    /// Real address in bytes of a DMA window's table of guest values.
    Table: Real, "table", Hexadecimal, 46 bits, 64 in a step;
    /// Real address in bytes of a pinned window's hardware table.
    Hardware: Real, "hardware", Hexadecimal, 46 bits, 64 in a step;
    /// Opcode of a hypercall (r3).
    Opcode: Opcode, "hcall", Hexadecimal, 64 bits, 64 in a step;
    /// r5 of the four TCE hypercalls: I/O bus address in bytes of the first entry.
    Ioba: Ioba, "ioba", Hexadecimal, 64 bits, 64 in a step;
    /// r6 of H_PUT_TCE and H_STUFF_TCE: the TCE to store.
    Tce: Tce, "tce", Hexadecimal, 64 bits, 64 in a step;
    /// r6 of H_PUT_TCE_INDIRECT: guest physical address in bytes of the list of TCEs.
    ListGpa: Gpa, "list", Hexadecimal, 64 bits, 64 in a step;
    /// r7 of H_STUFF_TCE and H_PUT_TCE_INDIRECT: number of entries to store.
    Count: Count, "count", Decimal, 64 bits, 64 in a step;
    /// r4 of a hypercall that does not read r4.
    R4: Unread, "r4", Hexadecimal, 64 bits, 64 in a step;
    /// r5 of a hypercall that does not read r5.
    R5: Unread, "r5", Hexadecimal, 64 bits, 64 in a step;
    /// r6 of a hypercall that does not read r6.
    R6: Unread, "r6", Hexadecimal, 64 bits, 64 in a step;
    /// r7 of a hypercall that does not read r7.
    R7: Unread, "r7", Hexadecimal, 64 bits, 64 in a step;
}

/// The place of a number in a program: an item or step, and a field in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The item of the machine, or the step, that has the number.
    pub item: Item,
    /// The field that holds the number. A field of a list (words of memory, places of blocks) occurs several times in
    /// one item.
    pub field: Field,
}

impl Place {
    /// How many low bits the number can use in a valid program: 1 ..= 64.
    #[must_use]
    pub const fn bits(self) -> u32 {
        let (description, step) = self.field.widths();
        if matches!(self.item, Item::Step(_)) { step } else { description }
    }
}

/// A type that holds numbers: an item of a machine, a step, or a part of an item or a step. A [`Machine`] stands for
/// its machine line ([`Item::Machine`]), without the numbers of its other items.
pub trait Numbers {
    /// Calls `visit` with the field and the value of every number, in the order in which the text form prints the
    /// numbers.
    fn numbers(&self, visit: &mut impl FnMut(Field, u64));

    /// Calls `visit` for every number and stores the changed value; high bits that do not fit the field are lost. The
    /// order is that of [`numbers`](Self::numbers). The opcode before the visit decides the fields of a hypercall's
    /// registers.
    fn numbers_mut(&mut self, visit: &mut impl FnMut(Field, &mut u64));
}

/// Calls `visit` with the place and the value of every number of a program, in the order in which the text form prints
/// the numbers.
pub fn visit(program: &Program, visit: &mut impl FnMut(Place, u64)) {
    let mut walk = Reading(visit);
    walk.program(program);
}

/// Calls `visit` with the place and the value of every number of a program, and stores the changed value. High bits
/// that do not fit the field are lost, and a PAGE_SHIFT other than 12 or 16 is not stored.
pub fn visit_mut(program: &mut Program, visit: &mut impl FnMut(Place, &mut u64)) {
    let mut walk = Changing(visit);
    walk.program(program);
}

/// The type of a field: converts the field's value to and from the `u64` that a visitor sees.
trait Number {
    fn get(&self) -> u64;
    fn set(&mut self, value: u64);
}

macro_rules! number {
    ($($type:ty: $this:ident => $get:expr, $value:ident => $set:expr;)*) => {$(
        impl Number for $type {
            #[inline]
            fn get(&self) -> u64 {
                let $this = self;
                $get
            }

            #[inline]
            fn set(&mut self, $value: u64) {
                *self = $set;
            }
        }
    )*};
}

number! {
    u64: this => *this, value => value;
    u32: this => u64::from(*this), value => value as Self;
    u8: this => u64::from(*this), value => value as Self;
    i32: this => i64::from(*this) as u64, value => value as Self;
    bool: this => u64::from(*this), value => value & 1 != 0;
    Pfn: this => this.0, value => Self(value);
    Gfn: this => this.0, value => Self(value);
    Gpa: this => this.0, value => Self(value);
    Hva: this => this.0, value => Self(value);
    Liobn: this => this.0, value => Self(value);
    RealAddr: this => this.0, value => Self(value);
}

impl Number for PageShift {
    #[inline]
    fn get(&self) -> u64 {
        u64::from(self.bits())
    }

    #[inline]
    fn set(&mut self, value: u64) {
        match value {
            12 => *self = Self::Shift12,
            16 => *self = Self::Shift16,
            _ => {}
        }
    }
}

/// A walk that reads numbers. The closure is `FnMut(Field, u64)` for an item and `FnMut(Place, u64)` for a whole
/// program.
struct Reading<'a, F>(&'a mut F);

/// A walk that changes numbers. The closure is `FnMut(Field, &mut u64)` for an item of a machine, a step or a part of
/// one, and `FnMut(Place, &mut u64)` for a whole program.
struct Changing<'a, F>(&'a mut F);

impl<F: FnMut(Field, u64)> Reading<'_, F> {
    #[inline]
    fn number(&mut self, field: Field, number: &impl Number) {
        (self.0)(field, number.get());
    }

    #[inline]
    fn part(&mut self, part: &impl Numbers) {
        part.numbers(self.0);
    }
}

impl<F: FnMut(Field, &mut u64)> Changing<'_, F> {
    #[inline]
    fn number(&mut self, field: Field, number: &mut impl Number) {
        let mut value = number.get();
        (self.0)(field, &mut value);
        number.set(value);
    }

    #[inline]
    fn part(&mut self, part: &mut impl Numbers) {
        part.numbers_mut(self.0);
    }
}

/// Implements [`Numbers`] from one walk for both directions, reading and changing. The patterns of the walk bind `&` or
/// `&mut` as the direction needs.
macro_rules! walks {
    ($($type:ty: $item:ident, $walk:ident => $body:expr;)*) => {$(
        impl Numbers for $type {
            #[inline]
            fn numbers(&self, visit: &mut impl FnMut(Field, u64)) {
                let ($item, mut $walk) = (self, Reading(visit));
                $body
            }

            #[inline]
            fn numbers_mut(&mut self, visit: &mut impl FnMut(Field, &mut u64)) {
                let ($item, mut $walk) = (self, Changing(visit));
                $body
            }
        }
    )*};
}

walks! {
    // The machine line: the numbers that belong to no other item. The items have walks of their own.
    Machine: machine, walk => {
        let Self {
            page_shift,
            struct_page,
            memory,
            pages: _,
            compounds: _,
            slots: _,
            mappings: _,
            ram: _,
            windows: _,
        } = machine;
        walk.number(Field::HostShift, page_shift);
        walk.number(Field::StructPage, struct_page);
        match memory {
            MemoryModel::Flatmem { array, pages } => {
                walk.number(Field::Array, array);
                walk.number(Field::MemoryPages, pages);
            }
            MemoryModel::SparsememVmemmap { base, block_shift, list, sections: _, blocks: _ } => {
                walk.number(Field::VmemmapBase, base);
                walk.number(Field::BlockShift, block_shift);
                walk.number(Field::ListArea, list);
            }
        }
    };
    AddrRun: run, walk => {
        let Self { at, count } = run;
        walk.number(Field::BlockAt, at);
        walk.number(Field::Blocks, count);
    };
    BlockRun: run, walk => {
        let Self { first, places } = run;
        walk.number(Field::Block, first);
        walk.part(places);
    };
    PageSpec: page, walk => {
        let Self { pfn, own, dirty } = page;
        walk.number(Field::Pfn, pfn);
        walk.number(Field::Own, own);
        walk.number(Field::PageDirty, dirty);
    };
    CompoundSpec: compound, walk => {
        let Self { pfn, order } = compound;
        walk.number(Field::Pfn, pfn);
        walk.number(Field::Order, order);
    };
    SlotSpec: slot, walk => {
        let Self { id, gfn, pages, hva } = slot;
        walk.number(Field::Slot, id);
        walk.number(Field::Gfn, gfn);
        walk.number(Field::SlotPages, pages);
        walk.number(Field::Hva, hva);
    };
    Pte: pte, walk => match pte {
        Self::Hole => {}
        Self::Present { pfn, writable, dirty, young } => {
            walk.number(Field::Pfn, pfn);
            walk.number(Field::Writable, writable);
            walk.number(Field::Dirty, dirty);
            walk.number(Field::Young, young);
        }
        Self::Huge { pfn, order, writable, dirty, young } => {
            walk.number(Field::Pfn, pfn);
            walk.number(Field::HugeOrder, order);
            walk.number(Field::Writable, writable);
            walk.number(Field::Dirty, dirty);
            walk.number(Field::Young, young);
        }
        Self::Absent { pfn } => walk.number(Field::Pfn, pfn),
    };
    Mapping: mapping, walk => {
        let Self { hva, pages, pte } = mapping;
        walk.number(Field::Hva, hva);
        walk.part(pte);
        walk.number(Field::MapPages, pages);
    };
    WordRun: run, walk => {
        let Self { value, stride, count } = run;
        walk.number(Field::Word, value);
        walk.number(Field::Stride, stride);
        walk.number(Field::Words, count);
    };
    RamSpec: ram, walk => {
        let Self { at, words } = ram;
        walk.number(Field::RamAt, at);
        for run in words {
            walk.part(run);
        }
    };
    WindowSpec: window, walk => {
        let Self { liobn, page_shift, base, entries, table, backing } = window;
        walk.number(Field::Liobn, liobn);
        walk.number(Field::WindowShift, page_shift);
        walk.number(Field::WindowBase, base);
        walk.number(Field::Entries, entries);
        walk.number(Field::Table, table);
        match backing {
            Backing::Emulated => {}
            Backing::Pinned { hardware } => walk.number(Field::Hardware, hardware),
        }
    };
    Hypercall: call, walk => {
        let Self { opcode, args: [r4, r5, r6, r7] } = call;
        let [liobn, ioba, value, count] = match *opcode {
            H_GET_TCE => [Field::Liobn, Field::Ioba, Field::R6, Field::R7],
            H_PUT_TCE => [Field::Liobn, Field::Ioba, Field::Tce, Field::R7],
            H_STUFF_TCE => [Field::Liobn, Field::Ioba, Field::Tce, Field::Count],
            H_PUT_TCE_INDIRECT => [Field::Liobn, Field::Ioba, Field::ListGpa, Field::Count],
            _ => [Field::R4, Field::R5, Field::R6, Field::R7],
        };
        walk.number(Field::Opcode, opcode);
        walk.number(liobn, r4);
        walk.number(ioba, r5);
        walk.number(value, r6);
        walk.number(count, r7);
    };
    Step: step, walk => match step {
        Self::Hypercall { vcpu, call } => {
            walk.number(Field::Vcpu, vcpu);
            walk.part(call);
        }
        Self::Lookup { pfn }
        | Self::GetPage { pfn }
        | Self::PutPage { pfn }
        | Self::Take { pfn }
        | Self::Drop { pfn }
        | Self::SplitCompound { pfn } => walk.number(Field::Pfn, pfn),
        Self::Map { hva, pte } => {
            walk.number(Field::Hva, hva);
            walk.part(pte);
        }
        Self::Unmap { hva } | Self::Age { hva } | Self::Clean { hva } | Self::WriteProtect { hva } => {
            walk.number(Field::Hva, hva);
        }
        Self::Migrate { hva, pfn } => {
            walk.number(Field::Hva, hva);
            walk.number(Field::Pfn, pfn);
        }
        Self::MakeCompound(compound) => walk.part(compound),
        Self::HotAdd { section, blocks } => {
            walk.number(Field::Section, section);
            for run in blocks {
                walk.part(run);
            }
        }
        Self::HotRemove { section } => walk.number(Field::Section, section),
        Self::Slot(slot) => walk.part(slot),
        Self::Write { gpa, words } => {
            walk.number(Field::Gpa, gpa);
            for run in words {
                walk.part(run);
            }
        }
        Self::CreateWindow(window) => walk.part(window),
        Self::CloseWindow { liobn } => walk.number(Field::Liobn, liobn),
    };
}

/// Implements the walk through a whole program for one direction: reading (`&`) or changing (`&mut`).
macro_rules! program {
    ($walk:ident, $program:ty, $number:ty, $item:ty, $visited:ty, $numbers:ident) => {
        impl<F: FnMut(Place, $visited)> $walk<'_, F> {
            #[inline]
            fn single(&mut self, item: Item, field: Field, number: $number) {
                $walk(&mut |field, value: $visited| (self.0)(Place { item, field }, value)).number(field, number);
            }

            #[inline]
            fn item(&mut self, item: Item, numbers: $item) {
                numbers.$numbers(&mut |field, value: $visited| (self.0)(Place { item, field }, value));
            }

            fn program(&mut self, program: $program) {
                let Program { dialect: _, machine, steps } = program;
                self.item(Item::Machine, machine);
                let Machine { page_shift: _, struct_page: _, memory, pages, compounds, slots, mappings, ram, windows } =
                    machine;
                match memory {
                    MemoryModel::Flatmem { array: _, pages: _ } => {}
                    MemoryModel::SparsememVmemmap { base: _, block_shift: _, list: _, sections, blocks } => {
                        for (index, section) in (0..).zip(sections) {
                            self.single(Item::Section(index), Field::Section, section);
                        }
                        for (index, run) in (0..).zip(blocks) {
                            self.item(Item::Block(index), run);
                        }
                    }
                }
                for (index, page) in (0..).zip(pages) {
                    self.item(Item::Page(index), page);
                }
                for (index, compound) in (0..).zip(compounds) {
                    self.item(Item::Compound(index), compound);
                }
                for (index, slot) in (0..).zip(slots) {
                    self.item(Item::Slot(index), slot);
                }
                for (index, mapping) in (0..).zip(mappings) {
                    self.item(Item::Mapping(index), mapping);
                }
                for (index, ram) in (0..).zip(ram) {
                    self.item(Item::Ram(index), ram);
                }
                for (index, window) in (0..).zip(windows) {
                    self.item(Item::Window(index), window);
                }
                for (index, step) in (0..).zip(steps) {
                    self.item(Item::Step(index), step);
                }
            }
        }
    };
}

program!(Reading, &Program, &impl Number, &impl Numbers, u64, numbers);
program!(Changing, &mut Program, &mut impl Number, &mut impl Numbers, &mut u64, numbers_mut);
