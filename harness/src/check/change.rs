//! Names the words of real memory and the page-table entries that a step changed, with their values before and after
//! the step.

use contract::Pfn;
use contract::addr::{LINEAR_MAP, REAL_MASK};
use contract::description::MAX_PHYSMEM_BITS;
use machine::memory::{Owner, Place, RealMemory, Region, struct_page};

use super::finding::{Area, Field, Thing, Whereabouts};

/// A word of real memory or a page-table entry that a step changed, with its values before and after the step as text.
pub(crate) struct Change {
    /// The word's real address. For a page-table entry, its hva.
    pub(crate) address: u64,
    /// The thing that the word holds, for example the reference count of a page.
    pub(crate) thing: Thing,
    /// The value of the word before the step, as text.
    pub(crate) old: String,
    /// The value after the step, as text.
    pub(crate) new: String,
}

impl Change {
    /// Returns whether this word lies directly (8 bytes) after the word of `before` in memory, holds the same kind of
    /// thing, and changed from the same old to the same new value. Any two words of the vmemmap list count as such
    /// neighbours.
    fn follows(&self, before: &Self) -> bool {
        let (field, list) = (self.thing.field(), self.thing.field() == Field::VmemmapList);
        let neighbours = self.address == before.address.wrapping_add(8) || list;
        neighbours && field == before.thing.field() && (list || (self.old == before.old && self.new == before.new))
    }
}

/// Makes the [`Change`] of the word or page-table entry at `place` from its raw value before the step (`old`) and after
/// the step (`new`). The owner of the word's region says which thing the word holds and how its values are printed. A
/// word in no region is a [`Thing::GoneWord`].
pub(crate) fn of(memory: &RealMemory, place: Place, old: u64, new: u64) -> Change {
    let hex = |value: u64| format!("{value:#x}");
    let tce = |value: u64| hex(value.swap_bytes());
    let (real, region) = match place {
        Place::PageTable(hva) => {
            let (old, new) = (memory.show_pte_word(old), memory.show_pte_word(new));
            return Change { address: hva.0, thing: Thing::Pte(hva), old, new };
        }
        Place::Real(real, region) => (real, region),
    };
    let address = real.0;
    let Some(region) = region else {
        return Change { address, thing: Thing::GoneWord(real), old: tce(old), new: tce(new) };
    };
    let index = (address - region.start) / 8;
    let (thing, old, new) = match region.owner {
        Owner::StructPages { offset } => {
            let at = offset + address - region.start;
            let (pfn, at) = (Pfn(at / memory.struct_page_size()), at % memory.struct_page_size());
            match at {
                struct_page::COUNT => (Thing::Count(pfn), (old as i32).to_string(), (new as i32).to_string()),
                struct_page::FLAGS => (Thing::Flags(pfn), flag_names(old), flag_names(new)),
                _ => (Thing::StructPage(pfn, at), hex(old), hex(new)),
            }
        }
        Owner::Table(liobn) => (Thing::GuestValue(liobn, index), tce(old), tce(new)),
        Owner::Hardware(liobn) => (Thing::HardwareEntry(liobn, index), tce(old), tce(new)),
        Owner::Ram => (Thing::Word(real), tce(old), tce(new)),
        Owner::List => (Thing::ListNode(index), hex(old), hex(new)),
    };
    Change { address, thing, old, new }
}

/// Returns where the effective address `ea` leads. If `ea` is a real address below 2^46, or the address of one in the
/// linear map, it leads into a region, past the end of the last region below it, or below all regions. Else the result
/// is [`Whereabouts::Unreal`].
pub(crate) fn whereabouts(memory: &RealMemory, ea: u64) -> Whereabouts {
    let area = |region: Region| match region.owner {
        Owner::StructPages { offset } => Area::StructPages(Pfn(offset.div_ceil(memory.struct_page_size()))),
        Owner::Table(liobn) => Area::Table(liobn),
        Owner::Hardware(liobn) => Area::Hardware(liobn),
        Owner::Ram => Area::Memory,
        Owner::List => Area::List,
    };
    let real = ea & REAL_MASK;
    if !matches!(ea & !REAL_MASK, 0 | LINEAR_MAP) || real >> MAX_PHYSMEM_BITS != 0 {
        return Whereabouts::Unreal;
    }
    match memory.region_from_below(real) {
        None => Whereabouts::Below,
        Some(region) if real < region.end => Whereabouts::Into(real - region.start, area(region)),
        Some(region) => Whereabouts::Past(real - region.end, area(region)),
    }
}

/// Returns the names of the flags that are set in a struct page's flags word, such as `HEAD DIRTY`. Bits without a name
/// follow as one hex number. Returns `none` if no bit is set.
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

/// Returns what the running step has changed in real memory and in the page table, as lines of text in ascending order
/// of real address or hva, such as `count of page 0x10: 1 -> 2`. Neighbouring words with the same kind of thing and the
/// same change share a line. All words of the vmemmap list share one line, which gives only their number.
#[must_use]
pub fn changes(memory: &RealMemory) -> Vec<String> {
    let mut changes: Vec<_> = memory.differences().map(|(place, old, new)| of(memory, place, old, new)).collect();
    changes.sort_by_key(|change| change.address);
    let mut lines = Vec::new();
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        let alike = |pair: &&[Change]| pair[1].follows(&pair[0]);
        let run = 1 + rest.windows(2).take_while(alike).count();
        let Change { thing, old, new, .. } = first;
        lines.push(match (thing.field(), run) {
            (Field::VmemmapList, _) => format!("{}: {run} words", Field::VmemmapList),
            (_, 1) => format!("{thing}: {old} -> {new}"),
            _ => format!("{thing}, and {} after it: {old} -> {new}", run - 1),
        });
        rest = &rest[run..];
    }
    lines
}
