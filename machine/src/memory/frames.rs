//! Sparse storage of words in frames of 4 KiB, with a log of the words that a step changed.
//!
//! The first store to a frame makes it. That works through a shared reference, because memory is borrowed while a CPU
//! runs; the storage belongs to one thread. [`Frames::reset`] allocates the frames that a program is known to need, and
//! reuses them from program to program, so that a store allocates nothing. A subject that stores where the reference
//! does not may need more frames: those are allocated at the store, at most [`SPARE_FRAMES`] of them.
//!
//! Words are atomics, which take the orderings that a subject gives. One CPU runs at a time.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::actor::Actors;
use super::fault::Fault;

/// Number of words, of 8 bytes each, in a frame.
pub(super) const FRAME_WORDS: usize = 512;
/// log2 of the size of a frame in bytes: a frame has 4096.
pub(super) const FRAME_SHIFT: u32 = 12;
/// Number of frames (of 4 KiB) that a program may use beyond those that it is known to need: 64 MiB in all.
pub(super) const SPARE_FRAMES: u32 = 1 << 14;

/// What the words of a frame are. It is the upper four bits of the frame's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Space {
    /// 4 KiB of real memory. The number in the key is the real address >> 12.
    Real = 0,
    /// 512 page-table entries. The number in the key is (hva >> PAGE_SHIFT) / 512.
    PageTable = 1,
    /// 512 words of the account, one for each page. The number in the key is the pfn / 512.
    Account = 2,
}

/// The key by which the directory finds a frame: what the frame holds, and its number among frames of this kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key(u64);

impl Key {
    const SPACE_SHIFT: u32 = 60;

    pub(super) const fn new(space: Space, number: u64) -> Self {
        Self(((space as u64) << Self::SPACE_SHIFT) | number)
    }

    pub(super) const fn space(self) -> Space {
        match self.0 >> Self::SPACE_SHIFT {
            0 => Space::Real,
            1 => Space::PageTable,
            _ => Space::Account,
        }
    }

    pub(super) const fn number(self) -> u64 {
        self.0 & ((1 << Self::SPACE_SHIFT) - 1)
    }
}

/// Stands for the region's number in a frame whose region has not been looked up, or was removed.
pub(super) const NO_REGION: u32 = u32::MAX;

/// Returns `index` modulo 512: the index of a word in its frame.
#[inline]
const fn place(index: u64) -> usize {
    index as usize % FRAME_WORDS
}

/// 512 words of 8 bytes, with the log of the changes that the running step made to them.
pub(super) struct Frame {
    number: u32,
    key: Cell<Key>,
    /// Number + 1 of the next frame of the same bucket of the directory; 0 for the last.
    next: Cell<u32>,
    /// Number of the region that holds the frame's first byte, or [`NO_REGION`].
    region: Cell<u32>,
    /// All words that were ever stored to have an index in `low .. high`: only those are cleared and searched.
    low: Cell<u32>,
    high: Cell<u32>,
    /// Number (epoch) of the step whose changes `log` lists.
    epoch: Cell<u32>,
    /// Number of words in `log`: those that the step of `epoch` has changed.
    logged: Cell<u32>,
    words: [AtomicU64; FRAME_WORDS],
    /// For each word: the epoch of the last step that changed it in the upper 32 bits, and the actors that changed it
    /// in that step in the lower 32.
    stamps: [Cell<u64>; FRAME_WORDS],
    /// For each word in `log`: its value before the step.
    before: [Cell<u64>; FRAME_WORDS],
    /// Indices of the words that the step of `epoch` changed, in the order of their first changes.
    log: [Cell<u16>; FRAME_WORDS],
}

impl Frame {
    fn new(number: u32) -> Box<Self> {
        Box::new(Self {
            number,
            key: Cell::new(Key(0)),
            next: Cell::new(0),
            region: Cell::new(NO_REGION),
            low: Cell::new(0),
            high: Cell::new(0),
            epoch: Cell::new(0),
            logged: Cell::new(0),
            words: [const { AtomicU64::new(0) }; FRAME_WORDS],
            stamps: [const { Cell::new(0) }; FRAME_WORDS],
            before: [const { Cell::new(0) }; FRAME_WORDS],
            log: [const { Cell::new(0) }; FRAME_WORDS],
        })
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn key(&self) -> Key {
        self.key.get()
    }

    /// Returns the word with index `index` modulo 512.
    #[inline]
    pub(super) const fn word(&self, index: u64) -> &AtomicU64 {
        &self.words[place(index)]
    }

    pub(super) fn region(&self) -> u32 {
        self.region.get()
    }

    pub(super) fn set_region(&self, region: u32) {
        self.region.set(region);
    }

    /// Extends the range [`stored`](Self::stored) by the word with index `index` modulo 512.
    pub(super) fn note_store(&self, index: u64) {
        let index = place(index) as u32;
        self.low.set(self.low.get().min(index));
        self.high.set(self.high.get().max(index + 1));
    }

    /// Returns a range of indices that has every word that was ever stored to; all other words are zero.
    pub(super) fn stored(&self) -> Range<u64> {
        u64::from(self.low.get())..u64::from(self.high.get())
    }

    /// Returns the words of the frame that are not zero, as (index, word).
    pub(super) fn nonzero(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.stored().map(|index| (index, self.word(index).load(Relaxed))).filter(|(_, value)| *value != 0)
    }
}

/// All frames of one memory, found through a directory, and the change log of the running step.
#[derive(Default)]
pub(super) struct Frames {
    /// The frames by number, from 0. The first `used` are in use; some of the others are allocated for reuse.
    frames: Vec<OnceCell<Box<Frame>>>,
    /// The directory: for each bucket the number + 1 of its first frame, 0 for none. The length is a power of two.
    buckets: Vec<Cell<u32>>,
    used: Cell<u32>,
    /// Largest number of frames in use.
    limit: u32,
    epoch: u32,
    /// Numbers of the frames that the running step changed, in the order of their first changes: the first
    /// `changed_length` elements.
    changed: Vec<Cell<u32>>,
    changed_length: Cell<u32>,
}

impl Frames {
    /// Forgets all words and the log, and allocates `frames` frames in advance. At most [`SPARE_FRAMES`] more can then
    /// be made.
    pub(super) fn reset(&mut self, frames: u32) {
        let mask = self.mask();
        for frame in self.frames.iter_mut().take(self.used.get() as usize).filter_map(OnceCell::get_mut) {
            let (low, high) = (*frame.low.get_mut() as usize, *frame.high.get_mut() as usize);
            // A frame that was made and never stored to has low above high.
            for word in frame.words.get_mut(low..high).into_iter().flatten() {
                *word.get_mut() = 0;
            }
            self.buckets[bucket(frame.key.get(), mask)].set(0);
        }
        self.used.set(0);
        self.limit = frames + SPARE_FRAMES;
        if self.frames.len() < self.limit as usize {
            self.frames.resize_with(self.limit as usize, OnceCell::new);
            self.changed.resize_with(self.limit as usize, Cell::default);
        }
        for (number, frame) in (0..frames).zip(&self.frames) {
            frame.get_or_init(|| Frame::new(number));
        }
        // Two buckets for each frame that is allocated in advance. With more frames, buckets only get longer.
        let buckets = (frames as usize * 2).next_power_of_two();
        if self.buckets.len() < buckets {
            self.buckets.resize_with(buckets, Cell::default);
        }
        self.begin_step();
    }

    /// Starts a step: empties the change log.
    pub(super) fn begin_step(&mut self) {
        self.changed_length.set(0);
        if self.epoch == u32::MAX {
            for frame in self.frames.iter_mut().filter_map(OnceCell::get_mut) {
                frame.epoch.set(0);
                frame.stamps.iter().for_each(|stamp| stamp.set(0));
            }
            self.epoch = 0;
        }
        self.epoch += 1;
    }

    #[inline]
    const fn mask(&self) -> usize {
        self.buckets.len().wrapping_sub(1)
    }

    /// Returns the frame with this number (from 0), in use or not; `None` if the frame is not allocated.
    /// [`audit`](super::RealMemory::audit) checks that all frames in use are allocated.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Frame> {
        self.frames.get(number as usize)?.get().map(|frame| &**frame)
    }

    /// Returns the frame with this key; `None` if no store has made it.
    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<&Frame> {
        // Before the first reset there are no buckets.
        let mut number = self.buckets.get(bucket(key, self.mask()))?.get();
        while number != 0 {
            let frame = self.get(number - 1)?;
            if frame.key.get() == key {
                return Some(frame);
            }
            number = frame.next.get();
        }
        None
    }

    /// Returns the frame with this key, and makes it if it does not exist; `None` if no frame is left.
    pub(super) fn find_or_make(&self, key: Key) -> Option<&Frame> {
        self.find(key).or_else(|| self.make(key))
    }

    #[inline(never)]
    fn make(&self, key: Key) -> Option<&Frame> {
        let number = self.used.get();
        if number >= self.limit {
            return None;
        }
        let frame = self.frames.get(number as usize)?.get_or_init(|| Frame::new(number));
        let bucket = self.buckets.get(bucket(key, self.mask()))?;
        frame.key.set(key);
        frame.next.set(bucket.get());
        frame.region.set(NO_REGION);
        frame.low.set(FRAME_WORDS as u32);
        frame.high.set(0);
        bucket.set(number + 1);
        self.used.set(number + 1);
        Some(frame)
    }

    /// Logs that `actors` changed the word with index `index` modulo 512 of `frame`; the caller stores the word itself.
    /// `old` is the value before this change, and is kept at the word's first change in the step only.
    #[inline]
    pub(super) fn log(&self, frame: &Frame, index: u64, old: u64, actors: Actors) {
        let index = place(index);
        let stamp = &frame.stamps[index];
        if stamp.get() >> 32 == u64::from(self.epoch) {
            stamp.set(stamp.get() | u64::from(actors.bits()));
            return;
        }
        stamp.set(u64::from(self.epoch) << 32 | u64::from(actors.bits()));
        frame.before[index].set(old);
        frame.note_store(index as u64);
        if frame.epoch.get() != self.epoch {
            frame.epoch.set(self.epoch);
            frame.logged.set(0);
            let length = self.changed_length.get();
            self.changed[length as usize].set(frame.number);
            self.changed_length.set(length + 1);
        }
        let logged = frame.logged.get();
        frame.log[place(logged.into())].set(index as u16);
        frame.logged.set(logged + 1);
    }

    /// Returns whether the running step changed the word with index `index` modulo 512 of `frame`.
    pub(super) fn is_logged(&self, frame: &Frame, index: u64) -> bool {
        frame.stamps[place(index)].get() >> 32 == u64::from(self.epoch)
    }

    /// Returns the frames that the running step changed, in the order of their first changes.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Frame> + '_ {
        self.changed.iter().take(self.changed_length.get() as usize).filter_map(|number| self.get(number.get()))
    }

    /// Returns the words that the running step changed in `frame`, which must be one of [`changed`](Self::changed), as
    /// (index, value before the step, actors).
    pub(super) fn logged(&self, frame: &Frame) -> impl Iterator<Item = (u64, u64, Actors)> {
        frame.log.iter().take(frame.logged.get() as usize).map(|index| {
            let index = usize::from(index.get()) % FRAME_WORDS;
            (index as u64, frame.before[index].get(), Actors::from_bits(frame.stamps[index].get() as u32))
        })
    }

    /// Returns the number of frames in use. It only grows until the next [`reset`](Self::reset).
    #[inline]
    pub(super) fn made(&self) -> u32 {
        self.used.get()
    }

    /// Returns the largest number of frames that may be in use.
    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    /// Sets the largest number of frames that may be in use, for tests of a full memory.
    #[cfg(test)]
    pub(super) fn limit_to(&mut self, frames: u32) {
        self.limit = frames;
    }

    /// Returns the frames in use, in the order in which they were made.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Frame> + '_ {
        self.frames.iter().take(self.used.get() as usize).filter_map(|frame| frame.get().map(|frame| &**frame))
    }

    /// Checks that the directory leads to each frame in use and to no other, that words outside a frame's stored range
    /// are zero, and that the log has each changed word once. Returns the first fault.
    pub(super) fn audit(&self) -> Result<(), Fault> {
        let used = self.used.get();
        let mut left = used;
        for bucket in &self.buckets {
            let mut number = bucket.get();
            while number != 0 {
                // More steps than frames: a bucket leads back to itself, or two lead to one frame.
                let frame = self.get(number - 1).filter(|frame| frame.number < used && left > 0);
                number = frame.ok_or(Fault::Directory { frame: number - 1 })?.next.get();
                left -= 1;
            }
        }
        let mut changed: Vec<u32> =
            self.changed.iter().take(self.changed_length.get() as usize).map(Cell::get).collect();
        changed.sort_unstable();
        for number in 0..used {
            let frame = self.get(number).ok_or(Fault::Directory { frame: number })?;
            if self.find(frame.key()).is_none_or(|found| found.number != number) {
                return Err(Fault::Directory { frame: number });
            }
            let stored = frame.stored();
            let outside = (0..FRAME_WORDS as u64).filter(|index| !stored.contains(index));
            if let Some(index) = outside.into_iter().find(|index| frame.word(*index).load(Relaxed) != 0) {
                return Err(Fault::Range { frame: number, index });
            }
            let noted = changed.iter().filter(|other| **other == number).count();
            self.audit_log(frame, noted)?;
        }
        Ok(())
    }

    /// Checks the change log of one frame. `noted` is the number of times that the list of changed frames has the
    /// frame.
    fn audit_log(&self, frame: &Frame, noted: usize) -> Result<(), Fault> {
        let logged = if frame.epoch.get() == self.epoch { frame.logged.get() as usize } else { 0 };
        let mut listed = [false; FRAME_WORDS];
        for index in frame.log.iter().take(logged).map(|index| usize::from(index.get()) % FRAME_WORDS) {
            if core::mem::replace(&mut listed[index], true) {
                return Err(Fault::Log { frame: frame.number, index: index as u64 });
            }
        }
        let stamped = |index: usize| frame.stamps[index].get() >> 32 == u64::from(self.epoch);
        if let Some(index) = (0..FRAME_WORDS).find(|&index| stamped(index) != listed[index]) {
            return Err(Fault::Log { frame: frame.number, index: index as u64 });
        }
        if noted != usize::from(logged > 0) {
            return Err(Fault::Log { frame: frame.number, index: 0 });
        }
        Ok(())
    }

    /// Returns the existing frames that overlap the real addresses `start .. end`, which must not be empty, in no
    /// particular order.
    pub(super) fn frames_within(&self, start: u64, end: u64) -> impl Iterator<Item = &Frame> + '_ {
        let (first, last) = (start >> FRAME_SHIFT, (end - 1) >> FRAME_SHIFT);
        // The shorter way: look up each frame of the range, or search all frames in use.
        let by_key = last - first < u64::from(self.used.get());
        let looked_up = by_key.then(|| (first..=last).filter_map(|number| self.find(Key::new(Space::Real, number))));
        let filtered = (!by_key).then(|| {
            self.frames().filter(move |frame| {
                frame.key().space() == Space::Real && (first..=last).contains(&frame.key().number())
            })
        });
        looked_up.into_iter().flatten().chain(filtered.into_iter().flatten())
    }
}

#[inline]
const fn bucket(key: Key, mask: usize) -> usize {
    // Fibonacci hashing. It spreads neighbouring frames, which is fine for tables of a few KiB.
    (key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::memory::Actor;

    /// Brings frames into an impossible state that [`Frames::audit`] must find.
    type Spoil = fn(&Frames);

    const HOST: Actors = Actors::only(Actor::Host);

    fn real(number: u64) -> Key {
        Key::new(Space::Real, number)
    }

    /// Returns three frames, in each of which the running step stored to one word, and a directory with only one
    /// bucket.
    fn three() -> Frames {
        let mut frames = Frames::default();
        frames.reset(0);
        for number in [7, 8, 9] {
            let frame = frames.find_or_make(real(number)).expect("a frame");
            frame.word(number).store(1, Relaxed);
            frames.log(frame, number, 0, HOST);
        }
        assert_eq!((frames.audit(), frames.buckets.len()), (Ok(()), 1));
        frames
    }

    fn frame(frames: &Frames, number: u64) -> &Frame {
        frames.find(real(number)).expect("it was made")
    }

    #[test]
    fn what_was_stored_is_found_and_forgotten() {
        let mut frames = three();
        assert_eq!(frames.find(real(10)).map(Frame::number), None);
        let nonzero = |frames: &Frames| {
            frames.frames().map(|frame| (frame.key(), frame.nonzero().collect::<Vec<_>>())).collect::<Vec<_>>()
        };
        let expected: Vec<_> = [7, 8, 9].map(|number| (real(number), vec![(number, 1)])).into();
        assert_eq!(nonzero(&frames), expected);
        frames.reset(0);
        assert!(nonzero(&frames).is_empty() && frames.find(real(7)).is_none());
        let made = frames.find_or_make(real(7)).expect("a frame");
        assert!(made.stored().is_empty() && (0..512).all(|index| made.word(index).load(Relaxed) == 0));
    }

    #[test]
    fn both_ways_through_a_range_find_the_same() {
        let frames = three();
        let within = |start: u64, end: u64| {
            let mut found: Vec<u64> = frames.frames_within(start, end).map(|frame| frame.key().number()).collect();
            found.sort_unstable();
            found
        };
        // Two frames are looked up; a million are not.
        assert_eq!(within(8 << 12, 10 << 12), [8, 9]);
        assert_eq!(within(8 << 12, 1 << 32), [8, 9]);
        assert_eq!(within((7 << 12) + 8, (7 << 12) + 16), [7]);
        assert_eq!(within(0, (7 << 12) + 1), [7]);
        assert_eq!(within(0, 7 << 12), [0u64; 0]);
    }

    #[test]
    fn a_step_begins_with_nothing_changed_also_when_epochs_begin_again() {
        let mut frames = three();
        assert_eq!(frames.changed().map(|frame| frames.logged(frame).count()).sum::<usize>(), 3);
        frames.epoch = u32::MAX;
        frames.log(frame(&frames, 7), 3, 5, HOST);
        assert!(frames.is_logged(frame(&frames, 7), 3));
        frames.begin_step();
        assert_eq!((frames.epoch, frames.changed().count(), frames.audit()), (1, 0, Ok(())));
        assert!(!frames.is_logged(frame(&frames, 7), 3));
        // Without clearing, a stamp of an old epoch would look like one of this step.
        assert!(frames.frames().all(|frame| frame.stamps.iter().all(|stamp| stamp.get() == 0)));
    }

    #[test]
    fn the_audit_walks_the_directory() {
        let cases: [(Spoil, u32); 6] = [
            // The buckets lead nowhere, past a frame, in a circle, to a frame that is not in use.
            (|frames| frames.buckets[0].set(0), 0),
            (|frames| frame(frames, 9).next.set(frame(frames, 7).number + 1), 1),
            (|frames| frame(frames, 7).next.set(frame(frames, 9).number + 1), 2),
            (|frames| frame(frames, 7).next.set(100), 99),
            // Two frames have one key; a frame has another key than it is looked for by.
            (|frames| frame(frames, 8).key.set(real(9)), 1),
            (|frames| frames.used.set(4), 3),
        ];
        for (spoil, number) in cases {
            let frames = three();
            spoil(&frames);
            assert_eq!(frames.audit(), Err(Fault::Directory { frame: number }));
        }
    }

    #[test]
    fn the_audit_looks_for_words_that_nobody_stored() {
        let frames = three();
        frame(&frames, 8).word(100).store(1, Relaxed);
        assert_eq!(frames.audit(), Err(Fault::Range { frame: 1, index: 100 }));
    }

    #[test]
    fn the_audit_reads_the_log() {
        let cases: [(Spoil, u64); 4] = [
            // Listed twice; changed and not listed; listed and not changed; a frame that the step's list has not.
            (
                |frames| {
                    frame(frames, 8).log[1].set(8);
                    frame(frames, 8).logged.set(2);
                },
                8,
            ),
            (|frames| frame(frames, 8).stamps[9].set(u64::from(frames.epoch) << 32), 9),
            (|frames| frame(frames, 8).stamps[8].set(0), 8),
            (|frames| frames.changed[1].set(0), 0),
        ];
        for (spoil, index) in cases {
            let frames = three();
            spoil(&frames);
            let number = u32::from(index != 0);
            assert_eq!(frames.audit(), Err(Fault::Log { frame: number, index }));
        }
    }
}
