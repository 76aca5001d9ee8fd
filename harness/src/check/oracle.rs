//! The oracle: compares real memory with the reference's state (docs/semantics.md, section 7).
//!
//! The oracle decodes the words in [`RealMemory`] and never asks the subject. After a step it compares the words that
//! were stored to and the objects that the reference touched; at the end of a program it compares everything. It never
//! compares the vmemmap list, which the reference does not have.
//!
//! A difference that no subject can cause is no mismatch but a [`Fault`]. Memory keeps the first one
//! ([`RealMemory::fault`]).

use std::fmt::Write as _;

use contract::{Hva, Liobn, Pfn, RealAddr, Rule};
use machine::memory::{Account, Fault, Owner, Place, RealMemory, Region, struct_page};
use reference::{Compound, Object, Page, Reference};

use super::change::flag_names;
use super::failure::Failure;
use super::finding::{MAX_OBJECTS, ObjectDiff, Thing};
use super::judge::rank;

/// A word in real memory, or a page-table entry, whose value is not the reference's; or a page's count that is not own
/// plus holders (`REF.CONSERVE`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mismatch {
    /// The rule that the mismatch breaks.
    pub(crate) rule: Rule,
    /// The word's real address; for a page-table entry, its hva. Mismatches of one rule are reported in ascending order
    /// of this address.
    pub(crate) address: u64,
    /// The object that the word belongs to, for example a page.
    pub(crate) object: Object,
    /// The thing that differs, for example the page's count.
    pub(crate) thing: Thing,
    /// The value in the reference's state, or what the rule demands, as text.
    pub(crate) expected: String,
    /// The value in real memory, as text.
    pub(crate) found: String,
}

impl Mismatch {
    fn new(
        rule: Rule,
        (address, object): (u64, Object),
        thing: Thing,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self { rule, address, object, thing, expected: expected.to_string(), found: found.to_string() }
    }
}

/// Compares real memory with the reference's state.
pub(crate) struct Oracle<'a> {
    pub(crate) reference: &'a Reference,
    pub(crate) memory: &'a RealMemory,
    /// The window that the reference has closed in this step and whose tables still lie in memory; `None` if there is
    /// none. All entries of its tables must be 0.
    pub(crate) closing: Option<&'a contract::WindowSpec>,
}

impl Oracle<'_> {
    /// Compares, after a step, the words that were stored to and the objects that the reference touched. Returns all
    /// mismatches, in no order. Reports a fault to memory for a difference that no subject can cause.
    pub(crate) fn step(&self) -> Vec<Mismatch> {
        let mut found = Vec::new();
        for (place, _, now) in self.memory.changes() {
            self.word(place, now, &mut found);
        }
        // The loop above compared all words that were stored to, so `unchanged` passes them over. A page that many
        // entries name stands many times in a row in `touched`, hence the chunks.
        for same in self.reference.touched().chunk_by(|one, other| one == other) {
            self.object(same[0], Self::unchanged, &mut found);
        }
        found
    }

    /// Returns the word at the real address `real`, or `None` if the running step stored to it.
    fn unchanged(&self, real: RealAddr) -> Option<u64> {
        self.memory.peek_unchanged(real)
    }

    /// Returns the word at the real address `real`; never `None`.
    fn any(&self, real: RealAddr) -> Option<u64> {
        Some(self.memory.peek(real))
    }

    /// Compares the whole memory, except the vmemmap list, with the whole state of the reference. Returns all
    /// mismatches, in no order. Reports a fault to memory for a difference that no subject can cause.
    pub(crate) fn everything(&self) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut words = 0;
        self.memory.contents().for_each(|(place, now)| {
            if !matches!(place, Place::Real(_, Some(Region { owner: Owner::List, .. }))) {
                words += 1;
            }
            self.word(place, now, &mut found);
        });
        // Every word that is not zero is right. If there are as many as the reference has, none is missing.
        if found.is_empty() && words == self.expected_words() {
            return found;
        }
        for (pfn, _) in self.reference.pages() {
            self.object(Object::Page(pfn), Self::any, &mut found);
        }
        for (hva, _) in self.reference.page_table() {
            self.object(Object::Pte(hva), Self::any, &mut found);
        }
        for window in self.reference.windows() {
            for (index, _) in window.guest_entries() {
                self.object(Object::Entry { liobn: window.spec.liobn, index }, Self::any, &mut found);
            }
            for (index, _) in window.hardware_entries() {
                self.object(Object::Entry { liobn: window.spec.liobn, index }, Self::any, &mut found);
            }
        }
        for (real, _) in self.reference.ram() {
            self.object(Object::Ram(real), Self::any, &mut found);
        }
        if found.is_empty() {
            self.fault(Fault::Words { memory: words as u64, reference: self.expected_words() as u64 });
        }
        found
    }

    /// Returns how many 8-byte words that are not zero memory must hold for the reference's state: those of struct
    /// pages, page-table entries, window tables and guest memory.
    fn expected_words(&self) -> usize {
        let page = |page: Page| {
            usize::from(page.count != 0) + usize::from(flags(&page) != 0) + usize::from(order_or_head(&page) != 0)
        };
        let pages: usize = self.reference.pages().map(|(_, state)| page(state)).sum();
        let entries: usize = self.reference.page_table().map(|(_, pte)| pte.pages() as usize).sum();
        let tables: usize = self
            .reference
            .windows()
            .map(|window| window.guest_entries().count() + window.hardware_entries().count())
            .sum();
        pages + entries + tables + self.reference.ram().count()
    }

    /// Sorts the mismatches by the order of their rules, then by address, and removes duplicates. Returns the first,
    /// which is to be reported, and all of them. Returns `None` if `found` is empty.
    fn first(mut found: Vec<Mismatch>) -> Option<(Mismatch, Vec<Mismatch>)> {
        found.sort_by_key(|mismatch| (rank(mismatch.rule), mismatch.address));
        found.dedup_by(|a, b| a.rule == b.rule && a.address == b.address && a.thing == b.thing);
        let first = found.first()?.clone();
        Some((first, found))
    }

    /// Makes a failure of the mismatch to report, with the objects of all mismatches in `found`. Returns `None` if
    /// `found` is empty.
    pub(crate) fn failure(&self, found: Vec<Mismatch>) -> Option<Box<Failure>> {
        let (first, all) = Self::first(found)?;
        let mut failure = Failure::new(first.rule, first.thing, first.expected, first.found);
        failure.objects = self.diffs(&all);
        Some(failure)
    }

    /// Returns the objects of `mismatches`, each once, as the reference and as memory have them; at most
    /// [`MAX_OBJECTS`].
    fn diffs(&self, mismatches: &[Mismatch]) -> Vec<ObjectDiff> {
        let mut diffs: Vec<ObjectDiff> = Vec::new();
        for mismatch in mismatches {
            let name = object_name(mismatch.object);
            if diffs.len() < MAX_OBJECTS && diffs.iter().all(|diff| diff.name != name) {
                let (reference, memory) = self.describe(mismatch.object);
                diffs.push(ObjectDiff { name, reference, memory });
            }
        }
        diffs
    }

    fn fault(&self, fault: Fault) {
        self.memory.report_fault(fault);
    }

    /// Compares one word of memory, whose value is `now`, with the reference. Adds mismatches to `found`. Reports a
    /// fault of the harness if no subject can cause the difference.
    fn word(&self, place: Place, now: u64, found: &mut Vec<Mismatch>) {
        match place {
            Place::PageTable(hva) => self.pte(hva, found),
            Place::Real(real, Some(Region { start, owner, .. })) => match owner {
                Owner::StructPages { offset } => {
                    let (at, size) = (offset + real.0 - start, self.memory.struct_page_size());
                    let (pfn, field) = (Pfn(at / size), at % size);
                    self.page_word(pfn, field, real, now, found);
                    if field == struct_page::COUNT {
                        self.conserve(pfn, real, now, found);
                    }
                }
                Owner::Table(liobn) => self.entry_word(liobn, (real.0 - start) / 8, false, real, now, found),
                Owner::Hardware(liobn) => self.entry_word(liobn, (real.0 - start) / 8, true, real, now, found),
                Owner::Ram => self.ram_word(real, now, found),
                // The reference has no list. The host keeps it, and memory's own audit compares it with the blocks.
                Owner::List => {}
            },
            // The region was removed. The host zeroed it, and no CPU can reach it any more.
            Place::Real(real, None) => {
                if now != 0 {
                    self.fault(Fault::Ownerless { real, word: now });
                }
                let word = self.reference.ram_word(real);
                if word != 0 {
                    self.fault(Fault::NoMemory { real, word });
                }
            }
        }
    }

    /// Compares the words that the reference has of an object with memory and adds mismatches to `found`. `peek` reads
    /// a word of memory; a word for which `peek` returns `None` is not compared. Compares a page-table entry in any
    /// case. Reports a fault of the harness if no subject can cause the difference.
    fn object(&self, object: Object, peek: fn(&Self, RealAddr) -> Option<u64>, found: &mut Vec<Mismatch>) {
        match object {
            Object::Page(pfn) => {
                for field in [struct_page::FLAGS, struct_page::COUNT, struct_page::COMPOUND] {
                    let Some(real) = self.memory.struct_page_word(pfn, field) else {
                        // The step removed the block, so the page must be in its default state.
                        if self.reference.page(pfn) != Page::default() {
                            self.fault(Fault::NoStructPage { pfn });
                        }
                        continue;
                    };
                    if let Some(now) = peek(self, real) {
                        self.page_word(pfn, field, real, now, found);
                        if field == struct_page::COUNT {
                            self.conserve(pfn, real, now, found);
                        }
                    }
                }
            }
            Object::Pte(hva) => self.pte(hva, found),
            Object::Entry { liobn, index } => {
                let open = self.reference.window(liobn).map(|window| window.spec);
                // A window that is closed now keeps its tables until the end of the step.
                let Some(spec) = open.or(self.closing.copied()).filter(|spec| spec.liobn == liobn) else {
                    return self.fault(Fault::Window { liobn });
                };
                for ((start, _), hardware) in spec.regions().zip([false, true]) {
                    let real = RealAddr(start.0 + index * 8);
                    if let Some(now) = peek(self, real) {
                        self.entry_word(liobn, index, hardware, real, now, found);
                    }
                }
            }
            Object::Ram(real) => {
                if let Some(now) = peek(self, real) {
                    self.ram_word(real, now, found);
                }
            }
        }
    }

    /// Compares one word of the page's struct page, whose value is `now`, with the reference, and adds mismatches to
    /// `found`: a wrong count and the bytes beside it are two. `field` is the word's offset in bytes from the start of
    /// the struct page, `real` its real address.
    fn page_word(&self, pfn: Pfn, field: u64, real: RealAddr, now: u64, found: &mut Vec<Mismatch>) {
        let page = self.reference.page(pfn);
        let expected = match field {
            struct_page::FLAGS => flags(&page),
            struct_page::COUNT => u64::from(page.count as u32),
            struct_page::COMPOUND => order_or_head(&page),
            _ => 0,
        };
        if now == expected {
            return;
        }
        let at = (real.0, Object::Page(pfn));
        let mut push = |rule, thing, expected, now| found.push(Mismatch::new(rule, at, thing, expected, now));
        match field {
            struct_page::FLAGS => {
                push(Rule::DivergeFlag, Thing::Flags(pfn), flag_names(expected), flag_names(now));
            }
            struct_page::COUNT => {
                // The count takes the low half of its word. The high half must be zero.
                let (expected, count) = (expected as i32, now as i32);
                if count != expected {
                    push(Rule::DivergeCount, Thing::Count(pfn), expected.to_string(), count.to_string());
                }
                if now >> 32 != 0 {
                    push(Rule::DivergeFlag, Thing::BesideCount(pfn), hex(0), hex(now >> 32));
                }
            }
            _ => {
                push(Rule::DivergeFlag, Thing::StructPage(pfn, field), hex(expected), hex(now));
            }
        }
    }

    /// Adds a mismatch of `REF.CONSERVE` if the page's count is not own plus holders, as the machine's account has
    /// them. `now` is the word that holds the count.
    fn conserve(&self, pfn: Pfn, real: RealAddr, now: u64, found: &mut Vec<Mismatch>) {
        let Account { own, holders } = self.memory.account(pfn);
        // Wraps, because own of an idle page wraps together with its count.
        if now as u32 as i32 != own.wrapping_add(holders) {
            let at = (real.0, Object::Page(pfn));
            let expected = format!("own {own} + {holders} mappings and hardware TCEs");
            found.push(Mismatch::new(Rule::RefConserve, at, Thing::Count(pfn), expected, now as i32));
        }
    }

    /// Adds a mismatch to `found` if an entry of a window's table is not the reference's: the hardware entry if
    /// `hardware` is set, else the guest value. `index` counts entries from 0; `now` is the word as memory holds it,
    /// with the bytes in reverse order. Reports a fault of the harness if no such window is open or just closed.
    fn entry_word(
        &self,
        liobn: Liobn,
        index: u64,
        hardware: bool,
        real: RealAddr,
        now: u64,
        found: &mut Vec<Mismatch>,
    ) {
        let expected = match self.reference.window(liobn) {
            Some(window) if hardware => window.hardware(index),
            Some(window) => window.guest(index),
            None if self.closing.is_some_and(|closing| closing.liobn == liobn) => 0,
            None => return self.fault(Fault::Window { liobn }),
        };
        let now = now.swap_bytes();
        if now != expected {
            let thing = if hardware { Thing::HardwareEntry(liobn, index) } else { Thing::GuestValue(liobn, index) };
            let at = (real.0, Object::Entry { liobn, index });
            found.push(Mismatch::new(Rule::DivergeTce, at, thing, hex(expected), hex(now)));
        }
    }

    /// Adds a mismatch to `found` if the word of guest memory at real address `real` is not the reference's. `now` is
    /// the word as memory holds it, with the bytes in reverse order.
    fn ram_word(&self, real: RealAddr, now: u64, found: &mut Vec<Mismatch>) {
        let expected = self.reference.ram_word(real);
        let now = now.swap_bytes();
        if now != expected {
            let at = (real.0, Object::Ram(real));
            found.push(Mismatch::new(Rule::DivergeFlag, at, Thing::Word(real), hex(expected), hex(now)));
        }
    }

    /// Adds one mismatch to `found` if any part of the page-table entry at `hva` in memory is not the reference's.
    fn pte(&self, hva: Hva, found: &mut Vec<Mismatch>) {
        let (expected, now) = (self.reference.pte(hva), self.memory.pte(hva));
        if expected != now {
            let at = (hva.0, Object::Pte(hva));
            found.push(Mismatch::new(Rule::DivergeFlag, at, Thing::Pte(hva), expected, now));
        }
    }

    /// Returns an object as the reference has it, then as real memory has it, each as lines of text.
    fn describe(&self, object: Object) -> (String, String) {
        match object {
            Object::Page(pfn) => {
                let page = self.reference.page(pfn);
                let show = |flags: u64, count: i32, compound: u64, own: i32, holders: i64| {
                    let mut text = String::new();
                    let _ = writeln!(text, "count: {count}");
                    let _ = writeln!(text, "flags: {}", flag_names(flags));
                    let _ = writeln!(text, "order or head: {compound:#x}");
                    let _ = writeln!(text, "own: {own}");
                    let _ = writeln!(text, "mappings + hardware TCEs: {holders}");
                    text
                };
                let compound = order_or_head(&page);
                let holders = self.reference.mappings(pfn) + self.reference.hardware_references(pfn);
                let expected = show(flags(&page), page.count, compound, page.own, holders);
                let found = show(
                    self.memory.page_word(pfn, struct_page::FLAGS),
                    self.memory.count(pfn),
                    self.memory.page_word(pfn, struct_page::COMPOUND),
                    self.memory.own(pfn),
                    i64::from(self.memory.holders(pfn)),
                );
                (expected, found)
            }
            Object::Pte(hva) => (format!("{}\n", self.reference.pte(hva)), format!("{}\n", self.memory.pte(hva))),
            Object::Entry { liobn, index } => {
                let window = self.reference.window(liobn);
                let spec = window.map(|window| window.spec).or(self.closing.copied());
                let mut found = [0; 2];
                if let Some(spec) = spec {
                    for (value, (start, _)) in found.iter_mut().zip(spec.regions()) {
                        *value = self.memory.peek(RealAddr(start.0 + index * 8)).swap_bytes();
                    }
                }
                let expected = window.map_or([0; 2], |window| [window.guest(index), window.hardware(index)]);
                let show =
                    |[guest, hardware]: [u64; 2]| format!("guest value: {guest:#x}\nhardware entry: {hardware:#x}\n");
                (show(expected), show(found))
            }
            Object::Ram(real) => (
                format!("{:#x}\n", self.reference.ram_word(real)),
                format!("{:#x}\n", self.memory.peek(real).swap_bytes()),
            ),
        }
    }
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

/// Returns the word at byte 16 of a struct page as the reference has it: the order of a head, the pfn of a tail's head,
/// 0 for a page that is not compound.
const fn order_or_head(page: &Page) -> u64 {
    match page.compound {
        Compound::No => 0,
        Compound::Head { order } => order as u64,
        Compound::Tail { head } => head.0,
    }
}

/// Returns the flags word of a struct page as the reference has it.
fn flags(page: &Page) -> u64 {
    let compound = match page.compound {
        Compound::No => 0,
        Compound::Head { .. } => struct_page::HEAD,
        Compound::Tail { .. } => struct_page::TAIL,
    };
    compound | if page.dirty { struct_page::DIRTY } else { 0 }
}

/// Returns the object's name in reports, such as `page 0x10`.
pub(crate) fn object_name(object: Object) -> String {
    match object {
        Object::Page(pfn) => format!("page {pfn}"),
        Object::Pte(hva) => format!("page-table entry at hva {hva}"),
        Object::Entry { liobn, index } => format!("entry {index} of window {liobn}"),
        Object::Ram(real) => format!("word at real address {real}"),
    }
}

#[cfg(test)]
mod tests {
    use contract::description::WordRun;
    use contract::{Gpa, Hypercall, MemoryModel, PageShift, Pte, Step};
    use machine::host::Host;

    use super::*;

    const MACHINE: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=256
page 0x20 own=2
slot 0 gfn=0x0 pages=16 hva=0x7f0000000000
map 0x7f0000000000 present pfn=0x10 writable dirty young pages=8
window 0x1 page_shift=12 base=0x0 entries=16 emulated table=0x9000000
steps
";
    const TABLE: RealAddr = RealAddr(0x900_0000);
    /// A real address at which the test machine has no memory.
    const NOWHERE: RealAddr = RealAddr(0xa00_0000);

    /// Returns a memory and a reference of the same machine, which agree with each other.
    fn both() -> (RealMemory, Reference) {
        let program = contract::text::parse(MACHINE).expect("a program");
        let (mut memory, mut host) = (RealMemory::new(), Host::new());
        host.boot(&mut memory, &program);
        let reference = Reference::new(program.dialect, &program.machine);
        let oracle = Oracle { reference: &reference, memory: &memory, closing: None };
        assert!(oracle.everything().is_empty() && memory.fault().is_none());
        (memory, reference)
    }

    type Both<'a> = (&'a mut RealMemory, &'a mut Reference);

    /// Lets `spoil` change a memory and its reference. Checks that the oracle then finds no mismatch, and that memory
    /// notes the fault `step` after a step and `end` at the end of a program (`None`: no fault).
    fn faults(spoil: fn(Both<'_>), step: Option<Fault>, end: Option<Fault>) {
        for (at_end, fault) in [(false, step), (true, end)] {
            let (mut memory, mut reference) = both();
            spoil((&mut memory, &mut reference));
            let oracle = Oracle { reference: &reference, memory: &memory, closing: None };
            let found = if at_end { oracle.everything() } else { oracle.step() };
            assert_eq!((memory.fault(), found), (fault, Vec::new()), "at the end: {at_end}");
        }
    }

    #[test]
    fn what_no_subject_can_bring_about_is_a_fault() {
        // A window that only one side has, although no step closed it.
        let window = Some(Fault::Window { liobn: Liobn(1) });
        faults(
            |(memory, reference)| {
                memory.poke(TABLE, 5);
                reference.step(&Step::CloseWindow { liobn: Liobn(1) });
            },
            window,
            window,
        );
        let put = Hypercall::put(1, 0, 0x3);
        let (memory, mut reference) = both();
        reference.step(&Step::Hypercall { vcpu: 0, call: put });
        reference.step(&Step::CloseWindow { liobn: Liobn(1) });
        let oracle = Oracle { reference: &reference, memory: &memory, closing: None };
        assert_eq!((oracle.step(), memory.fault()), (Vec::new(), window));

        // A word in memory that is not present.
        let ownerless = Some(Fault::Ownerless { real: NOWHERE, word: 5 });
        faults(|(memory, _)| memory.poke(NOWHERE, 5), ownerless, ownerless);
    }

    #[test]
    fn what_the_reference_has_lies_in_memory() {
        // Removes the region of guest memory without telling the reference.
        let (mut memory, mut reference) = both();
        let write = Step::Write { gpa: Gpa(0), words: vec![WordRun { value: 7, stride: 0, count: 1 }] };
        memory.poke(RealAddr(0x1_0000), 7_u64.swap_bytes());
        reference.step(&write);
        memory.remove_region(0);
        let oracle = Oracle { reference: &reference, memory: &memory, closing: None };
        assert!(oracle.step().is_empty());
        assert_eq!(memory.fault(), Some(Fault::NoMemory { real: RealAddr(0x1_0000), word: 7 }));

        // The same with a struct page.
        let (_, mut reference) = both();
        reference.step(&Step::Take { pfn: Pfn(0x20) });
        let mut small = RealMemory::new();
        let model = MemoryModel::Flatmem { array: RealAddr(0x800_0000), pages: 1 };
        small.reset(PageShift::Shift12, 64, &model, 8);
        let oracle = Oracle { reference: &reference, memory: &small, closing: None };
        assert!(oracle.step().is_empty());
        assert_eq!(small.fault(), Some(Fault::NoStructPage { pfn: Pfn(0x20) }));
    }

    /// Adds a second table to one window. Each word has the reference's value, but memory has one word more than the
    /// reference. Only the comparison at the end of a program notices it, and reports a fault.
    #[test]
    fn words_are_as_many_as_the_reference_has() {
        let spoil = |(memory, reference): Both<'_>| {
            let call = Hypercall::put(1, 0, 0x3);
            reference.step(&Step::Hypercall { vcpu: 0, call });
            memory.add_region(Region { start: NOWHERE.0, end: NOWHERE.0 + 128, owner: Owner::Table(Liobn(1)) });
            for table in [TABLE, NOWHERE] {
                memory.poke(table, 3_u64.swap_bytes());
            }
        };
        // The words: eight counts, the count of page 0x20, eight page-table entries, and one entry of the window.
        faults(spoil, None, Some(Fault::Words { memory: 19, reference: 18 }));
    }

    /// Checks that a difference that a subject can cause is a mismatch, and that mismatches come in the order of the
    /// rules and then of addresses.
    #[test]
    fn what_a_subject_can_bring_about_is_a_mismatch() {
        let (mut memory, reference) = both();
        memory.begin_step();
        memory.poke(TABLE, 5);
        memory.set_count(Pfn(0x20), 9);
        memory.set_count(Pfn(0x12), 9);
        memory.set_page_word(Pfn(0x30), struct_page::FLAGS, struct_page::DIRTY);
        let hva = Hva(0x7f00_0000_8000);
        memory.set_pte(hva, Pte::Absent { pfn: Pfn(0x40) });
        let oracle = Oracle { reference: &reference, memory: &memory, closing: None };
        let (first, all) = Oracle::first(oracle.step()).expect("mismatches");
        assert_eq!((first.rule, first.thing), (Rule::DivergeTce, Thing::GuestValue(Liobn(1), 0)));
        let all: Vec<_> = all.iter().map(|found| (found.rule, found.object)).collect();
        let page = |pfn| Object::Page(Pfn(pfn));
        assert_eq!(
            all,
            [
                (Rule::DivergeTce, Object::Entry { liobn: Liobn(1), index: 0 }),
                (Rule::DivergeCount, page(0x12)),
                (Rule::DivergeCount, page(0x20)),
                (Rule::DivergeFlag, page(0x30)),
                (Rule::DivergeFlag, Object::Pte(hva)),
                (Rule::RefConserve, page(0x12)),
                (Rule::RefConserve, page(0x20)),
            ]
        );
        assert_eq!(memory.fault(), None);
    }
}
