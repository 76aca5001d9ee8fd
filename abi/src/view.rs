//! Real memory mapped into the address space: a linear map, for implementations that use plain pointers and atomics.
//!
//! The byte at real address r is at `linear + r`, and at r in a memory file of 2^46 bytes that holds what was touched
//! of them. As much address space is reserved without access; the regions of the machine are mapped over it, and
//! whatever lies between them is a guard. Regions start at multiples of 4 KiB. Where the host's pages are larger,
//! regions can share one, and a gap inside such a page is mapped too: a store there does not fault, and is carried over
//! as a stray store.
//!
//! The image (`RealMemory`) stays the one that counts. What the host changes there is copied here ([`View::see`]); what
//! the implementation changed here is carried there at the end of each call and before each service ([`View::settle`]):
//! pages of the file that hold data are held against a copy of what they held last, and each word that differs is
//! stored through the `Cpu`, which checks it like any other store. References that were taken come first and those
//! given back last, for in which order they were really made nobody saw.

use core::ffi::c_void;
use core::ptr;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use contract::Ea;
use contract::description::MAX_PHYSMEM_BITS;
use machine::memory::{Owner, Place, Region, struct_page};
use machine::{Cpu, RealMemory};
use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom};
use rustix::mm::{MapFlags, ProtFlags};

/// Bytes that are compared at once. Every region starts at a multiple of it, and every host's page is one.
const FRAME: u64 = 4096;
const WORDS: usize = 512;
const RESERVED: u64 = 1 << MAX_PHYSMEM_BITS;

/// A linear map. It belongs to one implementation, in which one thread runs at a time.
pub struct View {
    linear: *mut c_void,
    /// Bytes of a page of the host, the least that can be mapped.
    page: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    file: OwnedFd,
    /// Mapped regions by start.
    regions: BTreeMap<u64, Region>,
    /// What pages hold in the image, by real address; zero where nothing stands.
    known: BTreeMap<u64, Box<[u64; WORDS]>>,
    struct_page: u64,
}

impl View {
    /// Reserves the address space.
    ///
    /// # Errors
    /// There is no room for it, even after a while: a process has room for one, and another may be on its way out.
    pub fn new() -> io::Result<Self> {
        Self::with_pages(rustix::param::page_size() as u64)
    }

    /// The same, mapping pages of that many bytes: a multiple of the host's.
    fn with_pages(page: u64) -> io::Result<Self> {
        let file = rustix::fs::memfd_create("realmode-memory", MemfdFlags::CLOEXEC)?;
        // Never truncated again: a process that may write no files may not do that either.
        rustix::fs::ftruncate(&file, RESERVED)?;
        let linear = reserve()?;
        let inner = Inner { file, regions: BTreeMap::new(), known: BTreeMap::new(), struct_page: 64 };
        Ok(Self { linear, page, inner: Mutex::new(inner) })
    }

    /// Where real address 0 is.
    pub const fn linear(&self) -> *mut c_void {
        self.linear
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const fn at(&self, real: u64) -> *mut c_void {
        self.linear.wrapping_byte_add(real as usize)
    }

    /// Brings the view up to date with the image: as it was set up (`booted`), or with what the host changed in this
    /// step.
    ///
    /// # Errors
    /// Memory cannot be mapped.
    pub fn see(&self, memory: &RealMemory, booted: bool) -> io::Result<()> {
        let inner = &mut *self.inner();
        if booted {
            self.forget(inner)?;
        }
        inner.struct_page = memory.struct_page_size();
        self.map_regions(inner, memory)?;
        let mut put = |place: Place, value: u64| {
            if let Place::Real(real, Some(_)) = place {
                self.put(inner, real.0, value);
            }
        };
        if booted {
            memory.contents().for_each(|(place, value)| put(place, value));
        } else {
            memory.differences().for_each(|(place, _, value)| put(place, value));
        }
        Ok(())
    }

    /// Unmaps everything and empties the file.
    fn forget(&self, inner: &mut Inner) -> io::Result<()> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the whole reservation is ours, and no reference into it is alive: words are reached by pointer, one
        // by one.
        unsafe { rustix::mm::mmap_anonymous(self.linear, RESERVED as usize, ProtFlags::empty(), flags) }?;
        inner.regions.clear();
        inner.known.clear();
        empty(&inner.file, 0, RESERVED)
    }

    /// Maps what the image has and the view has not, and the other way round.
    fn map_regions(&self, inner: &mut Inner, memory: &RealMemory) -> io::Result<()> {
        let gone: Vec<Region> =
            inner.regions.values().filter(|region| memory.region_at(region.start) != Some(**region)).copied().collect();
        for region in gone {
            inner.regions.remove(&region.start);
            let pages = self.pages_of(&region);
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
            let bytes = (pages.end - pages.start) as usize;
            // SAFETY: as in `forget`.
            unsafe { rustix::mm::mmap_anonymous(self.at(pages.start), bytes, ProtFlags::empty(), flags) }?;
            // What shares a page with it was unmapped too, and is mapped again below.
            inner.regions.retain(|_, other| {
                let others = self.pages_of(other);
                others.end <= pages.start || pages.end <= others.start
            });
            let frames = region.start..region.end.next_multiple_of(FRAME);
            inner.known.retain(|real, _| !frames.contains(real));
            empty(&inner.file, frames.start, frames.end - frames.start)?;
        }
        for region in memory.regions() {
            if inner.regions.contains_key(&region.start) {
                continue;
            }
            let pages = self.pages_of(&region);
            let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::FIXED);
            let (place, bytes) = (self.at(pages.start), (pages.end - pages.start) as usize);
            // SAFETY: the place is inside the reservation: everything described lies below 2^46. A page that another
            // region had mapped is mapped to the same bytes of the file again.
            unsafe { rustix::mm::mmap(place, bytes, access, flags, &inner.file, pages.start) }?;
            inner.regions.insert(region.start, region);
        }
        Ok(())
    }

    /// The host's pages that hold a region, from the first byte to one past the last.
    const fn pages_of(&self, region: &Region) -> Range<u64> {
        region.start & !(self.page - 1)..region.end.next_multiple_of(self.page)
    }

    /// Whether the byte lies in a page of the host that is mapped.
    fn is_mapped(&self, inner: &Inner, real: u64) -> bool {
        let page = real & !(self.page - 1);
        // Regions are disjoint: the last one that starts before the page's end is the one that reaches furthest.
        inner.regions.range(..page + self.page).next_back().is_some_and(|(_, region)| region.end > page)
    }

    /// A word that the image has now.
    fn put(&self, inner: &mut Inner, real: u64, value: u64) {
        let mapped = inner.regions.range(..=real).next_back().is_some_and(|(_, region)| real < region.end);
        if !mapped {
            return;
        }
        inner.known.entry(real & !(FRAME - 1)).or_insert_with(|| Box::new([0; WORDS]))[word_of(real)] = value;
        // SAFETY: the word is mapped, writable and aligned; the implementation is not running.
        unsafe { self.at(real & !7).cast::<u64>().write_volatile(value) };
    }

    /// A word that a service stored.
    pub fn store(&self, real: u64, value: u64) {
        self.put(&mut self.inner(), real, value);
    }

    /// Four bytes that a service stored.
    pub fn store_half(&self, real: u64, value: i32) {
        let inner = &mut *self.inner();
        let known = inner.known.get(&(real & !(FRAME - 1))).map_or(0, |page| page[word_of(real)]);
        let shift = 8 * (real & 4);
        self.put(inner, real & !7, known & !(0xffff_ffff << shift) | u64::from(value as u32) << shift);
    }

    /// Carries what the implementation changed into the image.
    pub fn settle(&self, cpu: &Cpu<'_>) {
        let inner = &mut *self.inner();
        let mut changes = Vec::new();
        let mut from = 0;
        // The file's frames that hold data, stretch by stretch. Reading makes a page too, which then differs in
        // nothing.
        while let Ok(start) = rustix::fs::seek(&inner.file, SeekFrom::Data(from)) {
            let end = rustix::fs::seek(&inner.file, SeekFrom::Hole(start)).unwrap_or(RESERVED);
            for real in (start & !(FRAME - 1)..end).step_by(FRAME as usize) {
                self.differences(inner, real, &mut changes);
            }
            from = end;
        }
        changes.sort_by_key(|change| change.turn);
        for Change { real, value, .. } in changes {
            cpu.store(Ea(real), value, core::sync::atomic::Ordering::Release);
        }
    }

    /// The words of a frame of the file that the image has otherwise.
    fn differences(&self, inner: &mut Inner, real: u64, changes: &mut Vec<Change>) {
        if !self.is_mapped(inner, real) {
            return;
        }
        let region = inner.regions.range(..=real).next_back().map(|(_, region)| *region);
        let region = region.filter(|region| real < region.end);
        let known = inner.known.get(&real);
        let mut now = [0u64; WORDS];
        for (index, word) in now.iter_mut().enumerate() {
            // SAFETY: the frame is mapped and readable; its implementation is not running, or is the caller of this.
            *word = unsafe { self.at(real + 8 * index as u64).cast::<u64>().read_volatile() };
        }
        if known.map_or(now == [0; WORDS], |known| **known == now) {
            return;
        }
        let known = inner.known.entry(real).or_insert_with(|| Box::new([0; WORDS]));
        for (index, (word, before)) in now.iter().zip(known.iter_mut()).enumerate() {
            if word != before {
                let real = real + 8 * index as u64;
                let turn = turn(region, real, *before, *word, inner.struct_page);
                changes.push(Change { turn, real, value: *word });
                *before = *word;
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the reservation is ours, and whoever could reach it is gone: its implementation is dropped with it.
        let _ = unsafe { rustix::mm::munmap(self.linear, RESERVED as usize) };
    }
}

/// How long [`View::new`] waits for room.
const PATIENCE: Duration = Duration::from_secs(2);

fn reserve() -> io::Result<*mut c_void> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let started = Instant::now();
    loop {
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that is there.
        match unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), RESERVED as usize, ProtFlags::empty(), flags) } {
            Ok(linear) => return Ok(linear),
            Err(error) if started.elapsed() >= PATIENCE => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Empties a stretch of the file; it reads as zero then.
fn empty(file: &OwnedFd, start: u64, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, bytes)?)
}

struct Change {
    turn: u8,
    real: u64,
    value: u64,
}

/// When a change is carried over: takes, then tables, then the rest, drops last.
fn turn(region: Option<Region>, real: u64, before: u64, now: u64, struct_page: u64) -> u8 {
    match region {
        Some(Region { start, owner: Owner::StructPages { offset }, .. })
            if (offset + real - start) % struct_page == struct_page::COUNT =>
        {
            if now as i32 > before as i32 {
                0
            } else {
                3
            }
        }
        Some(Region { owner: Owner::Table(_) | Owner::Hardware(_), .. }) => 1,
        _ => 2,
    }
}

const fn word_of(real: u64) -> usize {
    (real % FRAME / 8) as usize
}

#[cfg(test)]
mod tests {
    use contract::{Program, RealAddr, text};
    use machine::host::Host;
    use machine::memory::{Context, Mode};

    use super::*;

    /// Three regions in one page of 64 KiB: tables of a pinned window, a frame that is free, the table of an emulated
    /// one.
    const MACHINE: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=64
window 0x1 page_shift=12 base=0x0 entries=512 pinned table=0x9000000 hardware=0x9001000
window 0x2 page_shift=12 base=0x0 entries=4 emulated table=0x9003000
steps
";

    /// Stores as an implementation does that has a plain pointer.
    fn store(view: &View, real: u64, value: u64) {
        // SAFETY: the tests name addresses that are mapped.
        unsafe { view.at(real).cast::<u64>().write_volatile(value) };
    }

    fn load(view: &View, real: u64) -> u64 {
        // SAFETY: as above.
        unsafe { view.at(real).cast::<u64>().read_volatile() }
    }

    /// On a host of 4 KiB pages larger ones are multiples of it, so that each size can be tried there.
    #[test]
    fn regions_may_share_a_page_of_the_host() {
        let host = rustix::param::page_size() as u64;
        for page in [4096, 1 << 14, 1 << 16].into_iter().filter(|page| page % host == 0) {
            let program: Program = text::parse(MACHINE).expect("a program");
            let mut memory = RealMemory::new();
            Host::new().boot(&mut memory, &program);
            memory.begin_step();
            let view = View::with_pages(page).expect("room");
            view.see(&memory, true).expect("memory");

            // Each region is mapped, and what is stored there reaches the image.
            for real in [0x900_0008, 0x900_1ff8, 0x900_3010] {
                store(&view, real, real + 1);
            }
            view.settle(&memory.cpu(Mode::Virtual, 0, Context::Hypercall, 1000));
            for real in [0x900_0008, 0x900_1ff8, 0x900_3010] {
                assert_eq!(memory.peek(RealAddr(real)), real + 1, "{real:#x} with pages of {page}");
            }

            // A region goes, its neighbours stay with what they hold.
            memory.begin_step();
            memory.remove_region(0x900_1000);
            view.see(&memory, false).expect("memory");
            for real in [0x900_0008, 0x900_3010] {
                assert_eq!(load(&view, real), real + 1, "{real:#x} with pages of {page}");
            }
            let cpu = memory.cpu(Mode::Virtual, 0, Context::Hypercall, 1000);
            view.settle(&cpu);
            assert_eq!(
                (cpu.report().accesses, cpu.report().event),
                (0, None),
                "nothing was stored, with pages of {page}"
            );

            // Between regions no page of 4 KiB is mapped. In a larger one a store is no fault, and told all the same.
            if page > 0x2000 {
                store(&view, 0x900_2000, 1);
                let cpu = memory.cpu(Mode::Virtual, 0, Context::Hypercall, 1000);
                view.settle(&cpu);
                assert!(cpu.report().event.is_some(), "a stray store with pages of {page}");
            }
            // A new start forgets all.
            view.see(&memory, true).expect("memory");
            assert_eq!(load(&view, 0x900_0008), memory.peek(RealAddr(0x900_0008)), "with pages of {page}");
        }
    }
}
