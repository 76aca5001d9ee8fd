//! Changed words of real memory in the words of the field.

use contract::Pfn;
use contract::addr::{LINEAR_MAP, REAL_MASK};
use contract::description::MAX_PHYSMEM_BITS;
use machine::memory::{Owner, Place, RealMemory, Region, struct_page};

/// A word that changed.
pub(crate) struct Change {
    /// Its real address, or the hva of a page-table entry.
    pub(crate) address: u64,
    /// Which kind of thing it is.
    pub(crate) field: &'static str,
    /// Which thing it is.
    pub(crate) what: String,
    /// What it was.
    pub(crate) old: String,
    /// What it is.
    pub(crate) new: String,
}

/// The field of changes to the vmemmap list.
pub(crate) const VMEMMAP_LIST: &str = "vmemmap list";

impl Change {
    /// Whether this is the neighbour of `before` and changed alike.
    pub(crate) fn follows(&self, before: &Self) -> bool {
        let list = self.field == VMEMMAP_LIST;
        let neighbours = self.address == before.address.wrapping_add(8) || list;
        neighbours && self.field == before.field && (list || (self.old == before.old && self.new == before.new))
    }
}

/// Says what a changed word means.
pub(crate) fn change(memory: &RealMemory, place: Place, old: u64, new: u64) -> Change {
    let hex = |value: u64| format!("{value:#x}");
    let tce = |value: u64| hex(value.swap_bytes());
    let (address, region) = match place {
        Place::PageTable(hva) => {
            let what = format!("page-table entry at hva {hva}");
            let (old, new) = (memory.show_pte_word(old), memory.show_pte_word(new));
            return Change { address: hva.0, field: "page table", what, old, new };
        }
        Place::Real(real, region) => (real.0, region),
    };
    let Some(region) = region else {
        let what = format!("word at real address {address:#x}, which has gone");
        return Change { address, field: "memory", what, old: tce(old), new: tce(new) };
    };
    let index = (address - region.start) / 8;
    let (field, what, old, new) = match region.owner {
        Owner::StructPages { offset } => {
            let at = offset + address - region.start;
            let (pfn, at) = (Pfn(at / memory.struct_page_size()), at % memory.struct_page_size());
            match at {
                struct_page::COUNT => {
                    ("count", format!("count of page {pfn}"), (old as i32).to_string(), (new as i32).to_string())
                }
                struct_page::FLAGS => ("page flags", format!("flags of page {pfn}"), flag_names(old), flag_names(new)),
                _ => ("struct page", format!("word at offset {at} of page {pfn}"), hex(old), hex(new)),
            }
        }
        Owner::Table(liobn) => ("guest value", format!("guest value {index} of window {liobn}"), tce(old), tce(new)),
        Owner::Hardware(liobn) => {
            ("hardware entry", format!("hardware entry {index} of window {liobn}"), tce(old), tce(new))
        }
        Owner::Ram => ("memory", format!("word at real address {address:#x}"), tce(old), tce(new)),
        Owner::List => (VMEMMAP_LIST, format!("vmemmap list word {index}"), hex(old), hex(new)),
    };
    Change { address, field, what, old, new }
}

/// Where an effective address leads: the region there, or the one that ends before it; empty for what is no real address.
pub(crate) fn whereabouts(memory: &RealMemory, ea: u64) -> String {
    let name = |region: Region| match region.owner {
        Owner::StructPages { offset } => {
            format!("struct pages from page {} on", Pfn(offset.div_ceil(memory.struct_page_size())))
        }
        Owner::Table(liobn) => format!("the table of window {liobn}"),
        Owner::Hardware(liobn) => format!("the hardware table of window {liobn}"),
        Owner::Ram => "memory".into(),
        Owner::List => "the vmemmap list".into(),
    };
    let real = ea & REAL_MASK;
    if !matches!(ea & !REAL_MASK, 0 | LINEAR_MAP) || real >> MAX_PHYSMEM_BITS != 0 {
        return String::new();
    }
    match memory.region_from_below(real) {
        None => ", below everything described".into(),
        Some(region) if real < region.end => format!(", {} bytes into {}", real - region.start, name(region)),
        Some(region) => format!(", {} bytes past the end of {}", real - region.end, name(region)),
    }
}

/// The flags of a struct page by name.
pub(crate) fn flag_names(flags: u64) -> String {
    let mut names: Vec<String> = Vec::new();
    for (bit, name) in [(struct_page::HEAD, "HEAD"), (struct_page::TAIL, "TAIL"), (struct_page::DIRTY, "DIRTY")] {
        if flags & bit != 0 {
            names.push(name.into());
        }
    }
    let rest = flags & !(struct_page::HEAD | struct_page::TAIL | struct_page::DIRTY);
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    if names.is_empty() { "none".into() } else { names.join(" ") }
}
