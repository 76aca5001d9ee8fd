//! A CPU's access to [`RealMemory`]. Each access is checked and counted, and is a possible switch point between vCPUs.

use core::cell::Cell;
use core::sync::atomic::Ordering::{self, Relaxed};

use contract::addr::{Ea, Hva, LINEAR_MAP, Pfn, REAL_MASK, RealAddr};
use contract::description::Pte;
use contract::program::MAX_VCPUS;
use contract::rule::Rule;

use super::actor::{Actor, Actors, Mode};
use super::event::{Context, CpuReport, Event};
use super::fault::{Fault, Unstored};
use super::frames::{FRAME_SHIFT, Frame, Key, Space};
use super::image::{Model, RealMemory};
use super::page_table::Found;
use super::region::{Owner, Region};
use super::{pte, struct_page};

/// A CPU while it runs one call of a subject.
///
/// Addresses are effective addresses: real addresses, addresses of the linear map, and in virtual mode those of the
/// vmemmap range. An access that the mode cannot make, or a store that no handler may make, is an [`Event`]. The call
/// then goes on; a load returns 0, and a store does nothing. An access that breaks another rule is an [`Event`] too,
/// but is made. Each access states its memory ordering.
pub struct Cpu<'m> {
    memory: &'m RealMemory,
    mode: Mode,
    vcpu: u8,
    /// The set of this CPU alone, as the change log records it.
    actor: Actors,
    context: Context,
    limit: Cell<u64>,
    accesses: Cell<u64>,
    event: Cell<Option<Event>>,
    table_stored: Cell<bool>,
    /// pfn of the page whose count this run has last set to 0; `None` if there is none, or if the run has changed that
    /// count since. A change of another word of its struct page is an event (`MEM.STRAY`).
    freed: Cell<Option<Pfn>>,
    /// The first frames of guest memory that this run read: (real address >> 12) + 1 (0 for none), and one bit for each
    /// of the 512 words of the frame that was read.
    lists: [(Cell<u64>, [Cell<u64>; 8]); LISTS],
    /// Frames of real memory that were looked up last, by the low bits of real address >> 12. Neither frames nor
    /// regions are removed while a CPU runs.
    cache: [Cell<Cached>; CACHE],
}

/// Number of frames (of 4 KiB) of guest memory in which `LIST.SNAPSHOT` watches reads. A list is one frame; a handler
/// needs to read no other guest memory.
const LISTS: usize = 4;

/// Number of accesses that a run may still make after its first event, or after a store for which no frame was left;
/// fewer if the run's limit is reached earlier.
const AFTER_EVENT: u64 = 1 << 12;

/// Number of frames that a CPU's cache holds.
const CACHE: usize = 8;

/// A frame of real memory that a CPU looked up, given by numbers: with references `Cpu<'m>` would be invariant in `'m`,
/// and subjects could not keep one as `&'a Cpu<'a>`.
#[derive(Clone, Copy)]
struct Cached {
    /// Real address of the frame >> 12; `u64::MAX` in an empty slot of the cache.
    number: u64,
    /// Number of the frame; [`UNTOUCHED`] if nothing was ever stored to it.
    frame: u32,
    /// Number of frames in use at the time of the look-up. An untouched frame still does not exist while this number is
    /// the same.
    made: u32,
    /// Number of the region that holds the frame's first byte.
    region: u32,
}

/// Stands for the number of a frame to which nothing was stored yet, so that it does not exist.
const UNTOUCHED: u32 = u32::MAX;

/// An empty slot of a CPU's cache of frames.
const NOTHING: Cached = Cached { number: u64::MAX, frame: UNTOUCHED, made: 0, region: 0 };

/// The word of real memory that an access goes to.
struct Target<'m> {
    /// The frame of the word; `None` if nothing was ever stored to the frame.
    frame: Option<&'m Frame>,
    real: u64,
    region: &'m Region,
}

impl RealMemory {
    /// Makes a CPU that runs one call of a subject on vCPU number `vcpu`. Reports a [`Fault`] if `vcpu` is not below
    /// [`MAX_VCPUS`]. The CPU may make `limit` accesses, and its first event lowers the limit to at most 4096 more. One
    /// access past the limit panics, which is the only way out of code that hangs, and sets [`CpuReport::hung`].
    #[must_use]
    pub fn cpu(&self, mode: Mode, vcpu: u8, context: Context, limit: u64) -> Cpu<'_> {
        if vcpu >= MAX_VCPUS {
            self.report_fault(Fault::Vcpu { vcpu });
        }
        Cpu {
            memory: self,
            mode,
            vcpu,
            actor: Actors::only(Actor::Cpu { vcpu, mode }),
            context,
            limit: Cell::new(limit),
            accesses: Cell::new(0),
            event: Cell::new(None),
            table_stored: Cell::new(false),
            freed: Cell::new(None),
            lists: [const { (Cell::new(0), [const { Cell::new(0) }; 8]) }; LISTS],
            cache: [const { Cell::new(NOTHING) }; CACHE],
        }
    }
}

impl<'m> Cpu<'m> {
    /// Returns the mode that the CPU runs in.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the number of the vCPU, from 0, below [`MAX_VCPUS`].
    #[must_use]
    pub const fn vcpu(&self) -> u8 {
        self.vcpu
    }

    /// Returns the accesses, the first event and the hang of the run so far.
    #[must_use]
    pub fn report(&self) -> CpuReport {
        CpuReport {
            accesses: self.accesses.get(),
            event: self.event.get(),
            hung: self.accesses.get() > self.limit.get(),
        }
    }

    /// Loads the eight bytes at `ea` as a little-endian number; a TCE needs `swap_bytes`. An access that the mode
    /// cannot make, or an `ea` that is no multiple of 8, is an event (`RM.BAD_ACCESS` or `MEM.STRAY`), and returns 0.
    #[must_use]
    pub fn load(&self, ea: Ea, order: Ordering) -> u64 {
        self.count_access();
        self.readable(ea, 8).map_or(0, |target| target.load(order))
    }

    /// Stores eight bytes, little-endian, at `ea`. A store that the mode cannot make, to an `ea` that is no multiple of
    /// 8, or to anything but struct pages and TCE tables, is an event and stores nothing. If memory has no frame left
    /// for the store, it reports a [`Fault`], makes no event, and stores nothing.
    pub fn store(&self, ea: Ea, value: u64, order: Ordering) {
        self.count_access();
        let Some((frame, target)) = self.writable(ea, 8) else { return };
        let word = frame.word(target.index());
        let old = word.load(Relaxed);
        word.store(value, order);
        self.stored(frame, &target, old, value);
    }

    /// Exchanges the eight bytes at `ea` (a multiple of 8) with `value` in one atomic step, and returns the old value.
    /// Where [`store`](Self::store) stores nothing, this stores nothing and returns 0, with the same event or
    /// [`Fault`].
    pub fn swap(&self, ea: Ea, value: u64, order: Ordering) -> u64 {
        self.count_access();
        let Some((frame, target)) = self.writable(ea, 8) else { return 0 };
        let old = frame.word(target.index()).swap(value, order);
        self.stored(frame, &target, old, value);
        old
    }

    /// Stores `new` at `ea` (a multiple of 8) if the eight bytes there are `current`, in one atomic step, and returns
    /// `current`. Where [`store`](Self::store) stores nothing, this fails, with the same event or [`Fault`].
    ///
    /// # Errors
    /// The value at `ea`, if it is not `current`; where a store is refused, some number that is not `current`.
    pub fn compare_exchange(
        &self,
        ea: Ea,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.count_access();
        let Some((frame, target)) = self.writable(ea, 8) else { return Err(!current) };
        let result = frame.word(target.index()).compare_exchange(current, new, success, failure);
        if result.is_ok() {
            self.stored(frame, &target, current, new);
        }
        result
    }

    /// Loads the four bytes at `ea` as a little-endian number, such as a reference count. An access that the mode
    /// cannot make, or an `ea` that is no multiple of 4, is an event (`RM.BAD_ACCESS` or `MEM.STRAY`), and returns 0.
    #[must_use]
    pub fn load_i32(&self, ea: Ea, order: Ordering) -> i32 {
        self.count_access();
        self.readable(ea, 4).map_or(0, |target| (target.load(order) >> target.shift()) as i32)
    }

    /// Stores `new` in the four bytes at `ea` (a multiple of 4) if they are `current`, in one atomic step, and returns
    /// `current`. Where [`store`](Self::store) stores nothing, this fails, with the same event or [`Fault`].
    ///
    /// # Errors
    /// The value at `ea`, if it is not `current`; where a store is refused, some number that is not `current`.
    pub fn compare_exchange_i32(
        &self,
        ea: Ea,
        current: i32,
        new: i32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<i32, i32> {
        self.count_access();
        let Some((frame, target)) = self.writable(ea, 4) else { return Err(!current) };
        let shift = target.shift();
        let word = frame.word(target.index());
        let mut old = word.load(failure);
        loop {
            let found = (old >> shift) as i32;
            if found != current {
                return Err(found);
            }
            let value = old & !(0xffff_ffff << shift) | u64::from(new as u32) << shift;
            match word.compare_exchange(old, value, success, failure) {
                Ok(_) => {
                    self.stored(frame, &target, old, value);
                    return Ok(found);
                }
                // The other half of the word changed. The four bytes did not, so the attempt is repeated.
                Err(changed) => old = changed,
            }
        }
    }

    /// Returns the host's page-table entry of the page that holds `hva` (any byte of the page). For a page under a huge
    /// entry, this is the huge entry with the pfn of the head: the pfn of the page itself is the head's pfn + ((hva >>
    /// PAGE_SHIFT) mod 2^order).
    #[must_use]
    pub fn load_pte(&self, hva: Hva) -> Pte {
        self.count_access();
        self.memory.pte(hva)
    }

    /// Replaces the page-table entry of the page that holds `hva` by `new` if it is `current`, in one atomic step
    /// (acquire and release). `new` must name the same pages as `current`: flags can change, an absent page can become
    /// present, and a present one absent. Anything else is an event (`MEM.STRAY`) and fails. No call leaves a page
    /// absent that was present, so an entry that stays absent differs from the reference at the end of the step
    /// (`DIVERGE.FLAG`). This changes no count: the caller takes the reference that a present entry holds before it
    /// makes an absent entry present.
    ///
    /// # Errors
    /// The page-table entry of the page, if it is not `current`; after an event, `current`. For a hole always
    /// [`Pte::Hole`].
    pub fn compare_exchange_pte(&self, hva: Hva, current: Pte, new: Pte) -> Result<(), Pte> {
        self.count_access();
        let Some(Found { frame, page, entry }) = self.memory.find_pte(hva) else {
            return Err(Pte::Hole);
        };
        if entry != current {
            return Err(entry);
        }
        let same_page = new.pfn().is_some() && new.pfn() == current.pfn() && new.pages() == current.pages();
        if !same_page {
            self.event(Rule::MemStray, hva.0, None, 0, 0);
            return Err(entry);
        }
        let (old_word, new_word) = (pte::encode(current, 0), pte::encode(new, 0));
        if frame.word(page).compare_exchange(old_word, new_word, Ordering::AcqRel, Relaxed).is_err() {
            return Err(self.memory.pte(hva));
        }
        if old_word != new_word {
            self.memory.frames.log(frame, page, old_word, self.actor);
        }
        if current.holds_reference() != new.holds_reference() {
            self.memory.account_pte(current, new);
            if let Some(pfn) = new.pfn() {
                let head = self.memory.head(pfn);
                self.check_held(hva.0, head, self.memory.count(head));
            }
        }
        Ok(())
    }

    /// Says that the subject allocates `bytes` bytes of its own memory; the call itself gives none. In real mode this
    /// is an event (`RM.ALLOC`). Counts as an access.
    pub fn allocate(&self, bytes: u64) {
        self.count_access();
        if self.mode == Mode::Real {
            self.event(Rule::RmAlloc, 0, None, 0, bytes.min(i64::MAX as u64) as i64);
        }
    }

    /// Says that the subject frees a page whose last reference is gone; memory does not change. In real mode this is an
    /// event (`RM.FINAL_RELEASE`). Counts as an access.
    pub fn free_page(&self, pfn: Pfn) {
        self.count_access();
        if self.mode == Mode::Real {
            self.event(Rule::RmFinalRelease, pfn.0, Some(pfn), 1, 0);
        }
    }

    fn count_access(&self) {
        let accesses = self.accesses.get() + 1;
        self.accesses.set(accesses);
        // The only way out of code that hangs. The harness catches the panic and reads `hung` in the report.
        let limit = self.limit.get();
        assert!(accesses <= limit, "more than {limit} accesses in one call");
    }

    fn event(&self, rule: Rule, at: u64, pfn: Option<Pfn>, allowed: i64, seen: i64) {
        if self.event.get().is_none() {
            let sequence = self.memory.sequence.get();
            self.memory.sequence.set(sequence + 1);
            let access = self.accesses.get();
            self.event.set(Some(Event { rule, at, pfn, allowed, seen, access, sequence }));
            // The event will be reported however the run ends, so the run need not go on for long.
            self.limit.set(self.limit.get().min(access + AFTER_EVENT));
        }
    }

    /// Returns the real address that the effective address `ea` means in this CPU's mode, whether it lies in a region
    /// or not. `None` if the top nibble of `ea` is neither 0 nor 0xc and `ea` is not, in virtual mode, in a backed
    /// vmemmap block. The call does not count as an access, and is for a subject that keeps a copy of memory.
    #[must_use]
    pub fn real_address(&self, ea: Ea) -> Option<RealAddr> {
        self.translate(ea).map(RealAddr)
    }

    /// Returns the real address that `ea` means in this CPU's mode, as [`real_address`](Self::real_address) does.
    #[inline]
    fn translate(&self, ea: Ea) -> Option<u64> {
        if self.mode == Mode::Virtual
            && let Model::Vmemmap { base, .. } = self.memory.model
            && ea.0 >= base
            && let Some(real) = self.memory.block_address(ea.0 - base)
        {
            return Some(real);
        }
        matches!(ea.0 & !REAL_MASK, 0 | LINEAR_MAP).then_some(ea.0 & REAL_MASK)
    }

    #[inline]
    fn target(&self, ea: Ea, size: u64) -> Option<Target<'m>> {
        let target = self.translate(ea).filter(|real| real & (size - 1) == 0).and_then(|real| self.find(real));
        if target.is_none() {
            let rule = if self.mode == Mode::Real { Rule::RmBadAccess } else { Rule::MemStray };
            self.event(rule, ea.0, None, 0, 0);
        }
        target
    }

    #[inline]
    fn find(&self, real: u64) -> Option<Target<'m>> {
        let number = real >> FRAME_SHIFT;
        let cached = self.cache[number as usize % CACHE].get();
        if cached.number == number
            && let Some(region) = self.memory.regions.get(cached.region as usize)
            && real < region.end
        {
            let frame = self.memory.frames.get(cached.frame);
            if frame.is_some() || cached.made == self.memory.frames.made() {
                return Some(Target { frame, real, region });
            }
        }
        self.look_up(real)
    }

    #[inline(never)]
    fn look_up(&self, real: u64) -> Option<Target<'m>> {
        let number = real >> FRAME_SHIFT;
        let made = self.memory.frames.made();
        let (frame, region) = self.memory.find(real)?;
        let cached = Cached { number, frame: frame.map_or(UNTOUCHED, Frame::number), made, region };
        self.cache[number as usize % CACHE].set(cached);
        let region = self.memory.regions.get(region as usize)?;
        Some(Target { frame, real, region })
    }

    /// Returns the word at `ea` for a load of `size` bytes; `None`, and an event, if the mode cannot access the word,
    /// or if `ea` is no multiple of `size`. Records the read if a hypercall reads guest memory, because the word may be
    /// in a list.
    #[inline]
    fn readable(&self, ea: Ea, size: u64) -> Option<Target<'m>> {
        let target = self.target(ea, size)?;
        if target.region.owner == Owner::Ram && self.context == Context::Hypercall {
            self.note_list_read(target.real);
        }
        Some(target)
    }

    /// Returns frame and word at `ea` if a handler may store `size` bytes there; else `None`, and an event. If memory
    /// has no frame left for the store, returns `None` and reports a [`Fault`], without an event.
    fn writable(&self, ea: Ea, size: u64) -> Option<(&'m Frame, Target<'m>)> {
        let target = self.target(ea, size)?;
        if !matches!(target.region.owner, Owner::StructPages { .. } | Owner::Table(_) | Owner::Hardware(_)) {
            self.event(Rule::MemStray, ea.0, None, 0, 0);
            return None;
        }
        let made = || self.memory.frames.find_or_make(Key::new(Space::Real, target.real >> FRAME_SHIFT));
        let Some(frame) = target.frame.or_else(made) else {
            self.memory.no_frame(Unstored::Real(RealAddr(target.real)));
            // The run means nothing from here on, so it need not go on for long.
            self.limit.set(self.limit.get().min(self.accesses.get() + AFTER_EVENT));
            return None;
        };
        Some((frame, target))
    }

    /// Logs a store that changed a word from `old` to `new`, updates the account, and checks the rules that the store
    /// can break.
    fn stored(&self, frame: &Frame, target: &Target<'_>, old: u64, new: u64) {
        if old != new {
            self.memory.frames.log(frame, target.index(), old, self.actor);
        }
        match target.region.owner {
            Owner::StructPages { offset } => {
                let at = offset + (target.real & !7) - target.region.start;
                let pfn = Pfn(at / self.memory.struct_page);
                match at % self.memory.struct_page {
                    struct_page::COUNT => self.count_stored(target.real, pfn, old as i32, new as i32),
                    // A page whose last reference this run gave back belongs to the allocator, no longer to the
                    // handler.
                    _ if old != new && self.freed.get() == Some(self.memory.head(pfn)) => {
                        self.event(Rule::MemStray, target.real, Some(pfn), 1, 0);
                    }
                    _ => {}
                }
            }
            Owner::Hardware(_) => {
                self.table_stored.set(true);
                let (old_page, new_page) = (self.memory.hardware_page(old), self.memory.hardware_page(new));
                if old_page == new_page {
                    return;
                }
                if let Some(pfn) = old_page {
                    self.memory.add_holders(pfn, -1);
                }
                if let Some(pfn) = new_page {
                    self.memory.add_holders(pfn, 1);
                    self.check_held(target.real, pfn, self.memory.count(pfn));
                }
            }
            Owner::Table(_) => self.table_stored.set(true),
            // `writable` refuses stores of handlers there.
            Owner::Ram | Owner::List => {}
        }
    }

    fn count_stored(&self, real: u64, pfn: Pfn, old: i32, new: i32) {
        if self.mode == Mode::Real && old == 1 && new == 0 {
            self.event(Rule::RmFinalRelease, real, Some(pfn), 1, 0);
        }
        if self.context != Context::Probe && old == 0 && new == -1 {
            self.event(Rule::RefUnderflow, real, Some(pfn), 0, -1);
        }
        match (new, self.freed.get()) {
            (0, _) => self.freed.set(Some(pfn)),
            (_, Some(freed)) if freed == pfn => self.freed.set(None),
            _ => {}
        }
        self.check_held(real, pfn, new);
    }

    fn check_held(&self, at: u64, pfn: Pfn, count: i32) {
        let account = self.memory.account(pfn);
        // A probe of an unnamed page may take its count anywhere, even past the ends of 32 bits.
        if (account.holders > 0 || self.context != Context::Probe) && i64::from(count) < account.due() {
            self.event(Rule::RefHeld, at, Some(pfn), account.due(), i64::from(count));
        }
    }

    /// Records that the word of guest memory at `real` was read. Reading a word after a store to a table, or twice, is
    /// an event (`LIST.SNAPSHOT`); reading twice is noticed only in the first [`LISTS`] frames that the run reads.
    fn note_list_read(&self, real: u64) {
        if self.table_stored.get() {
            self.event(Rule::ListSnapshot, real, None, 0, 1);
        }
        let frame = (real >> FRAME_SHIFT) + 1;
        let Some((number, read)) =
            self.lists.iter().find(|(number, _)| matches!(number.get(), 0) || number.get() == frame)
        else {
            // The run reads more frames of guest memory than are watched.
            return;
        };
        number.set(frame);
        let index = (real >> 3) as usize & 511;
        let (group, bit) = (&read[index / 64], 1 << (index % 64));
        if group.get() & bit != 0 {
            self.event(Rule::ListSnapshot, real, None, 1, 2);
        }
        group.set(group.get() | bit);
    }
}

impl Target<'_> {
    /// Returns a number that modulo 512 is the index of the word in its frame.
    const fn index(&self) -> u64 {
        self.real >> 3
    }

    /// Returns the position of four accessed bytes in their word of 8 bytes: bit 0 or bit 32.
    const fn shift(&self) -> u64 {
        8 * (self.real & 4)
    }

    /// Loads the word of 8 bytes; 0 if nothing was ever stored there.
    fn load(&self, order: Ordering) -> u64 {
        self.frame.map_or(0, |frame| frame.word(self.index()).load(order))
    }
}
