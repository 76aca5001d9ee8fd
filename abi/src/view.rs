//! The view: simulated real memory mapped into the address space, for implementations that use plain pointers and
//! atomics.
//!
//! The byte at real address r is at `linear + r`. Behind it is a memory file of 2^46 bytes, sparse, in which it has
//! offset r. The view reserves 2^46 bytes of address space without access and maps the machine's regions over it; an
//! access between regions faults. Regions start at multiples of 4 KiB. On a host with larger pages, regions can share a
//! page, and a gap inside such a page is mapped too: a store there does not fault, but is carried over as a stray
//! store.
//!
//! The image (`RealMemory`) remains the memory that counts. [`View::see`] copies into the view what the host changes in
//! the image. [`View::settle`] carries into the image what the implementation changed in the view, at the end of each
//! call and before each service that accesses memory or a page-table entry, or frees a page: it compares the pages of
//! the file that hold data with a copy of their last contents, and stores each word that differs through the `Cpu`,
//! which checks it like any other store. Reference counts that rose come first and those that fell last, because nobody
//! saw in which order the stores were made.

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

/// Size in bytes of a frame, the unit in which memory is compared. Regions start at multiples of `FRAME`, and the size
/// of a page of the computer is a multiple of `FRAME`.
const FRAME: u64 = 4096;
/// Number of 8-byte words in a frame of 4 KiB.
const WORDS: usize = 512;
/// Size in bytes of the reserved address space: all real addresses, 2^46.
const RESERVED: u64 = 1 << MAX_PHYSMEM_BITS;

/// Simulated real memory, mapped for one implementation as a linear map. One thread at a time runs the implementation.
pub struct View {
    linear: *mut c_void,
    /// Size in bytes of a page of the computer, the unit of mappings.
    page: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    file: OwnedFd,
    /// Regions that are mapped, by their first real address.
    regions: BTreeMap<u64, Region>,
    /// The words of each frame in the image when view and image last agreed, by the frame's first real address. A frame
    /// without an element is zero.
    known: BTreeMap<u64, Box<[u64; WORDS]>>,
    /// Size of a struct page in bytes.
    struct_page: u64,
}

impl View {
    /// Reserves the address space of a view, and waits up to 2 s for room. No region is mapped yet.
    ///
    /// # Errors
    /// There is no room: the address space of a process holds one view, and the previous view was not dropped within 2
    /// s. Or the kernel cannot make the memory file.
    pub fn new() -> io::Result<Self> {
        Self::with_pages(rustix::param::page_size() as u64)
    }

    /// Like [`new`](Self::new), with mappings in units of `page` bytes, a multiple of the page size of the computer.
    fn with_pages(page: u64) -> io::Result<Self> {
        let file = rustix::fs::memfd_create("realmode-memory", MemfdFlags::CLOEXEC)?;
        // The file gets its size only once: a process that may not write files may not change it either.
        rustix::fs::ftruncate(&file, RESERVED)?;
        let linear = reserve()?;
        let inner = Inner { file, regions: BTreeMap::new(), known: BTreeMap::new(), struct_page: 64 };
        Ok(Self { linear, page, inner: Mutex::new(inner) })
    }

    /// Returns the pointer to the byte at real address 0.
    pub const fn linear(&self) -> *mut c_void {
        self.linear
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the pointer to the byte at real address `real`.
    const fn at(&self, real: u64) -> *mut c_void {
        self.linear.wrapping_byte_add(real as usize)
    }

    /// Maps the regions of the image `memory`, unmaps those that it no longer has, and copies words of the image into
    /// the view: all of them if the host has just booted (`booted`), else those that the host changed in the running
    /// step.
    ///
    /// # Errors
    /// The kernel cannot map a region.
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

    /// Unmaps all regions and empties the memory file.
    fn forget(&self, inner: &mut Inner) -> io::Result<()> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the whole reservation is ours, and no reference into it is alive: words are accessed one by one, by
        // pointer.
        unsafe { rustix::mm::mmap_anonymous(self.linear, RESERVED as usize, ProtFlags::empty(), flags) }?;
        inner.regions.clear();
        inner.known.clear();
        empty(&inner.file, 0, RESERVED)
    }

    /// Unmaps and empties regions that the image no longer has, and maps those that the image has and the view does
    /// not.
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
            // Regions that share a page with it were unmapped too, and are mapped again below.
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
            // SAFETY: the place is inside the reservation, because everything described lies below 2^46. If another
            // region had mapped this page, it is mapped to the same bytes of the file again.
            unsafe { rustix::mm::mmap(place, bytes, access, flags, &inner.file, pages.start) }?;
            inner.regions.insert(region.start, region);
        }
        Ok(())
    }

    /// Returns the real addresses of the computer's pages that hold a region: from the first byte of the first page to
    /// one past the last page.
    const fn pages_of(&self, region: &Region) -> Range<u64> {
        region.start & !(self.page - 1)..region.end.next_multiple_of(self.page)
    }

    /// Returns whether the page of the computer that holds real address `real` is mapped.
    fn is_mapped(&self, inner: &Inner, real: u64) -> bool {
        let page = real & !(self.page - 1);
        // Regions are disjoint, so of those that start before the page's end the last one reaches furthest.
        inner.regions.range(..page + self.page).next_back().is_some_and(|(_, region)| region.end > page)
    }

    /// Copies an 8-byte word of the image into the view and into `known`: `value` at real address `real`, rounded down
    /// to a multiple of 8. Ignores words outside all regions.
    fn put(&self, inner: &mut Inner, real: u64, value: u64) {
        let mapped = inner.regions.range(..=real).next_back().is_some_and(|(_, region)| real < region.end);
        if !mapped {
            return;
        }
        inner.known.entry(real & !(FRAME - 1)).or_insert_with(|| Box::new([0; WORDS]))[word_of(real)] = value;
        // SAFETY: the word is mapped, writable and aligned; the implementation is not running.
        unsafe { self.at(real & !7).cast::<u64>().write_volatile(value) };
    }

    /// Copies a word of 8 bytes that a service stored at real address `real` into the view, so that `settle` does not
    /// take the word for a store of the implementation. Ignores an address outside all regions.
    pub fn store(&self, real: u64, value: u64) {
        self.put(&mut self.inner(), real, value);
    }

    /// Copies four bytes (a reference count) that a service stored at real address `real`, a multiple of 4, into the
    /// view.
    pub fn store_half(&self, real: u64, value: i32) {
        let inner = &mut *self.inner();
        let known = inner.known.get(&(real & !(FRAME - 1))).map_or(0, |page| page[word_of(real)]);
        let shift = 8 * (real & 4);
        self.put(inner, real & !7, known & !(0xffff_ffff << shift) | u64::from(value as u32) << shift);
    }

    /// Stores into the image, through `cpu`, every word that the implementation changed in the view since view and
    /// image last agreed.
    pub fn settle(&self, cpu: &Cpu<'_>) {
        let inner = &mut *self.inner();
        let mut changes = Vec::new();
        let mut from = 0;
        // Only frames of the file that hold data. A read also makes the kernel allocate a page; it does not differ.
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

    /// Adds to `changes` the words, of the frame that starts at real address `real`, that differ between view and
    /// image, and notes their new values in `known`.
    fn differences(&self, inner: &mut Inner, real: u64, changes: &mut Vec<Change>) {
        if !self.is_mapped(inner, real) {
            return;
        }
        let region = inner.regions.range(..=real).next_back().map(|(_, region)| *region);
        let region = region.filter(|region| real < region.end);
        let known = inner.known.get(&real);
        let mut now = [0u64; WORDS];
        for (index, word) in now.iter_mut().enumerate() {
            // SAFETY: the frame is mapped and readable. Its implementation is not running, or is waiting in a service.
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
        // SAFETY: the reservation is ours. Only the implementation could access it, and that is dropped together with
        // the view.
        let _ = unsafe { rustix::mm::munmap(self.linear, RESERVED as usize) };
    }
}

/// How long [`View::new`] waits for address space: another view of this process may be about to be dropped.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reserves 2^46 bytes of address space without access, and waits up to 2 s for room. Returns the pointer to their
/// first byte. Fails if there is still no room then.
fn reserve() -> io::Result<*mut c_void> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let started = Instant::now();
    loop {
        // SAFETY: a new mapping at a place that the kernel chooses touches nothing that is there.
        match unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), RESERVED as usize, ProtFlags::empty(), flags) } {
            Ok(linear) => return Ok(linear),
            Err(error) if started.elapsed() >= PATIENCE => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Empties `bytes` bytes of the memory file from offset `start` on. They then read as zero.
fn empty(file: &OwnedFd, start: u64, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, bytes)?)
}

/// A word of 8 bytes that the implementation changed: its real address, its new value, and its turn (see [`turn`]).
struct Change {
    turn: u8,
    real: u64,
    value: u64,
}

/// Returns the turn in which a changed word is stored into the image, lowest turn first: 0 words with a reference count
/// that rose, 1 words of TCE tables, 2 all others, 3 words with a reference count that did not rise. `region` is the
/// region that holds `real`; `before` and `now` are the word's values.
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

/// Returns the index, from 0, of the word that holds real address `real` in its frame.
const fn word_of(real: u64) -> usize {
    (real % FRAME / 8) as usize
}

#[cfg(test)]
mod tests {
    use contract::{Program, RealAddr, text};
    use machine::host::Host;
    use machine::memory::{Context, Mode};

    use super::*;

    /// Three regions in one page of 64 KiB: both tables of a pinned window, a free frame, and the table of an emulated
    /// window.
    const MACHINE: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=64
window 0x1 page_shift=12 base=0x0 entries=512 pinned table=0x9000000 hardware=0x9001000
window 0x2 page_shift=12 base=0x0 entries=4 emulated table=0x9003000
steps
";

    /// Stores through a plain pointer, as an implementation does.
    fn store(view: &View, real: u64, value: u64) {
        // SAFETY: the tests only name mapped addresses.
        unsafe { view.at(real).cast::<u64>().write_volatile(value) };
    }

    fn load(view: &View, real: u64) -> u64 {
        // SAFETY: as above.
        unsafe { view.at(real).cast::<u64>().read_volatile() }
    }

    /// A host with 4 KiB pages can try each page size of the test, because larger sizes are multiples of 4 KiB.
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

            // Each region is mapped, and a store to it reaches the image.
            for real in [0x900_0008, 0x900_1ff8, 0x900_3010] {
                store(&view, real, real + 1);
            }
            view.settle(&memory.cpu(Mode::Virtual, 0, Context::Hypercall, 1000));
            for real in [0x900_0008, 0x900_1ff8, 0x900_3010] {
                assert_eq!(memory.peek(RealAddr(real)), real + 1, "{real:#x} with pages of {page}");
            }

            // A region is removed; its neighbours keep their contents.
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

            // Between regions no page of 4 KiB is mapped. In a larger page a store does not fault, but the harness
            // reports it.
            if page > 0x2000 {
                store(&view, 0x900_2000, 1);
                let cpu = memory.cpu(Mode::Virtual, 0, Context::Hypercall, 1000);
                view.settle(&cpu);
                assert!(cpu.report().event.is_some(), "a stray store with pages of {page}");
            }
            // A new boot forgets everything.
            view.see(&memory, true).expect("memory");
            assert_eq!(load(&view, 0x900_0008), memory.peek(RealAddr(0x900_0008)), "with pages of {page}");
        }
    }
}
