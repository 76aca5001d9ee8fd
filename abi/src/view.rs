//! Real memory mapped into the address space: a linear map, for implementations that use plain pointers and atomics.
//!
//! The byte at real address r is at `linear + r`. 2^46 bytes of address space are reserved without access; the regions of the machine are
//! mapped over it from one memory file, and whatever lies between them is a guard.
//!
//! The image (`RealMemory`) stays the one that counts. What the host changes there is copied here ([`View::see`]); what the implementation
//! changed here is carried there at the end of each call and before each service ([`View::settle`]): pages of the file that hold data are
//! held against a copy of what they held last, and each word that differs is stored through the `Cpu`, which checks it like any other
//! store. References that were taken come first and those given back last, for in which order they were really made nobody saw.

use core::ffi::c_void;
use core::ptr;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::machine::MAX_PHYSMEM_BITS;
use contract::memory::{Owner, Place, Region, struct_page};
use contract::{Cpu, Ea, RealMemory};
use rustix::fs::{MemfdFlags, SeekFrom};
use rustix::mm::{MapFlags, ProtFlags};

const PAGE: u64 = 4096;
const WORDS: usize = 512;
const RESERVED: u64 = 1 << MAX_PHYSMEM_BITS;

/// A linear map. It belongs to one implementation, in which one thread runs at a time.
pub struct View {
    linear: *mut c_void,
    inner: Mutex<Inner>,
}

struct Inner {
    file: OwnedFd,
    /// Bytes of the file that are given out.
    used: u64,
    /// Mapped regions by start, each with its place in the file.
    regions: BTreeMap<u64, (Region, u64)>,
    /// The same by place in the file.
    places: BTreeMap<u64, u64>,
    /// What pages hold in the image, by real address; zero where nothing stands.
    known: BTreeMap<u64, Box<[u64; WORDS]>>,
    struct_page: u64,
}

impl View {
    /// Reserves the address space.
    ///
    /// # Errors
    /// There is no room for it: a process has room for one.
    pub fn new() -> io::Result<Self> {
        let file = rustix::fs::memfd_create("realmode-memory", MemfdFlags::CLOEXEC)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that is there.
        let linear =
            unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), RESERVED as usize, ProtFlags::empty(), flags) }?;
        let inner = Inner {
            file,
            used: 0,
            regions: BTreeMap::new(),
            places: BTreeMap::new(),
            known: BTreeMap::new(),
            struct_page: 64,
        };
        Ok(Self { linear, inner: Mutex::new(inner) })
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

    /// Brings the view up to date with the image: as it was set up (`booted`), or with what the host changed in this step.
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
        // SAFETY: the whole reservation is ours, and no reference into it is alive: words are reached by pointer, one by one.
        unsafe { rustix::mm::mmap_anonymous(self.linear, RESERVED as usize, ProtFlags::empty(), flags) }?;
        inner.regions.clear();
        inner.places.clear();
        inner.known.clear();
        inner.used = 0;
        rustix::fs::ftruncate(&inner.file, 0)?;
        Ok(())
    }

    /// Maps what the image has and the view has not, and the other way round.
    fn map_regions(&self, inner: &mut Inner, memory: &RealMemory) -> io::Result<()> {
        let gone: Vec<u64> = (inner.regions.iter())
            .filter(|(start, (region, _))| memory.region_at(**start) != Some(*region))
            .map(|(start, _)| *start)
            .collect();
        for start in gone {
            let Some((region, place)) = inner.regions.remove(&start) else { continue };
            inner.places.remove(&place);
            let bytes = length(&region);
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
            // SAFETY: as in `forget`.
            unsafe { rustix::mm::mmap_anonymous(self.at(start), bytes as usize, ProtFlags::empty(), flags) }?;
            inner.known.retain(|real, _| !(start..start + bytes).contains(real));
        }
        for region in memory.regions() {
            if inner.regions.contains_key(&region.start) {
                continue;
            }
            let (place, bytes) = (inner.used, length(&region));
            inner.used += bytes;
            rustix::fs::ftruncate(&inner.file, inner.used)?;
            let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::FIXED);
            // SAFETY: the place is inside the reservation: everything described lies below 2^46.
            unsafe { rustix::mm::mmap(self.at(region.start), bytes as usize, access, flags, &inner.file, place) }?;
            inner.regions.insert(region.start, (region, place));
            inner.places.insert(place, region.start);
        }
        Ok(())
    }

    /// A word that the image has now.
    fn put(&self, inner: &mut Inner, real: u64, value: u64) {
        let mapped = inner.regions.range(..=real).next_back().is_some_and(|(_, (region, _))| real < region.end);
        if !mapped {
            return;
        }
        inner.known.entry(real & !(PAGE - 1)).or_insert_with(|| Box::new([0; WORDS]))[word_of(real)] = value;
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
        let known = inner.known.get(&(real & !(PAGE - 1))).map_or(0, |page| page[word_of(real)]);
        let shift = 8 * (real & 4);
        self.put(inner, real & !7, known & !(0xffff_ffff << shift) | u64::from(value as u32) << shift);
    }

    /// Carries what the implementation changed into the image.
    pub fn settle(&self, cpu: &Cpu<'_>) {
        let inner = &mut *self.inner();
        let mut changes = Vec::new();
        let mut from = 0;
        // The file's pages that hold data, stretch by stretch. Reading makes a page too, which then differs in nothing.
        while let Ok(start) = rustix::fs::seek(&inner.file, SeekFrom::Data(from)) {
            let end = rustix::fs::seek(&inner.file, SeekFrom::Hole(start)).unwrap_or(inner.used);
            for place in (start & !(PAGE - 1)..end).step_by(PAGE as usize) {
                self.differences(inner, place, &mut changes);
            }
            from = end;
        }
        changes.sort_by_key(|change| change.turn);
        for Change { real, value, .. } in changes {
            cpu.store(Ea(real), value, core::sync::atomic::Ordering::Release);
        }
    }

    /// The words of a page of the file that the image has otherwise.
    fn differences(&self, inner: &mut Inner, place: u64, changes: &mut Vec<Change>) {
        let Some((&first, &start)) = inner.places.range(..=place).next_back() else { return };
        let Some(&(region, _)) = inner.regions.get(&start) else { return };
        let real = start + (place - first);
        if real >= region.end {
            return;
        }
        let known = inner.known.get(&real);
        let mut now = [0u64; WORDS];
        for (index, word) in now.iter_mut().enumerate() {
            // SAFETY: the page is mapped and readable; its implementation is not running, or is the caller of this.
            *word = unsafe { self.at(real + 8 * index as u64).cast::<u64>().read_volatile() };
        }
        if known.map_or(now == [0; WORDS], |known| **known == now) {
            return;
        }
        let known = inner.known.entry(real).or_insert_with(|| Box::new([0; WORDS]));
        for (index, (word, before)) in now.iter().zip(known.iter_mut()).enumerate() {
            if word != before {
                let real = real + 8 * index as u64;
                let turn = turn(&region, real, *before, *word, inner.struct_page);
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

struct Change {
    turn: u8,
    real: u64,
    value: u64,
}

/// When a change is carried over: takes, then tables, then the rest, drops last.
fn turn(region: &Region, real: u64, before: u64, now: u64, struct_page: u64) -> u8 {
    match region.owner {
        Owner::StructPages { offset } if (offset + real - region.start) % struct_page == struct_page::COUNT => {
            if now as i32 > before as i32 { 0 } else { 3 }
        }
        Owner::Table(_) | Owner::Hardware(_) => 1,
        _ => 2,
    }
}

/// Bytes of whole pages.
const fn length(region: &Region) -> u64 {
    (region.end - region.start).next_multiple_of(PAGE)
}

const fn word_of(real: u64) -> usize {
    (real % PAGE / 8) as usize
}
