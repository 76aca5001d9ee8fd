//! Sparse storage of words in 4 KiB frames, with a log of the words that a step changed.
//!
//! Shared by reference while CPUs run: frames come into being on the first store to them, through atomics alone. The
//! caller serialises accesses (one CPU runs at a time, each access is a switch point); the atomics carry the
//! subject's orderings and keep the type `Sync`. All memory is set aside in [`Frames::reset`] and reused from program to program.

use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Words of a frame.
pub(super) const FRAME_WORDS: usize = 512;
/// log2 of a frame's bytes.
pub(super) const FRAME_SHIFT: u32 = 12;

/// Which kind of thing a frame holds; the upper bits of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Space {
    /// 4 KiB of real memory; the key is the real address >> 12.
    Real = 0,
    /// 512 page-table entries; the key is the hva page number / 512.
    PageTable = 1,
    /// 512 words of the holders' account; the key is the pfn / 512.
    Account = 2,
}

/// The key of a frame in the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// Index of a word in the storage.
pub(super) type Word = u32;

/// A frame whose region has not been looked up, or has gone.
pub(super) const NO_REGION: u32 = u32::MAX;

#[derive(Default)]
struct Slot {
    /// The frame's key + 1; 0 for an empty slot.
    key: AtomicU64,
    frame: AtomicU32,
}

#[derive(Default)]
struct Header {
    key: AtomicU64,
    slot: AtomicU32,
    region: AtomicU32,
    /// The words that were ever stored to lie in `low .. high`: what is cleared and searched.
    low: AtomicU32,
    high: AtomicU32,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Frames {
    directory: Vec<Slot>,
    headers: Vec<Header>,
    words: Vec<AtomicU64>,
    /// The epoch in which a word was last logged.
    stamps: Vec<AtomicU32>,
    used: AtomicU32,
    epoch: u32,
    log_words: Vec<AtomicU32>,
    log_values: Vec<AtomicU64>,
    log_length: AtomicU32,
}

impl Frames {
    /// Forgets everything and makes room for `frames` frames.
    pub(super) fn reset(&mut self, frames: usize) {
        for index in 0..*self.used.get_mut() as usize {
            let header = &mut self.headers[index];
            let start = index * FRAME_WORDS;
            let (low, high) = (*header.low.get_mut() as usize, *header.high.get_mut() as usize);
            if low < high {
                for word in &mut self.words[start + low..start + high] {
                    *word.get_mut() = 0;
                }
            }
            *self.directory[*header.slot.get_mut() as usize].key.get_mut() = 0;
        }
        *self.used.get_mut() = 0;
        if self.headers.len() < frames {
            self.headers.resize_with(frames, Header::default);
            self.words.resize_with(frames * FRAME_WORDS, AtomicU64::default);
            self.stamps.resize_with(frames * FRAME_WORDS, AtomicU32::default);
            self.log_words.resize_with(frames * FRAME_WORDS, AtomicU32::default);
            self.log_values.resize_with(frames * FRAME_WORDS, AtomicU64::default);
            self.directory.clear();
            self.directory.resize_with((frames * 2).next_power_of_two(), Slot::default);
        }
        self.begin_step();
    }

    /// Starts a new log.
    pub(super) fn begin_step(&mut self) {
        *self.log_length.get_mut() = 0;
        if self.epoch == u32::MAX {
            for stamp in &mut self.stamps {
                *stamp.get_mut() = 0;
            }
            self.epoch = 0;
        }
        self.epoch += 1;
    }

    #[inline]
    fn first_slot(&self, key: Key) -> usize {
        // Fibonacci hashing; neighbouring frames land apart, which is fine for tables of a few KiB.
        let hash = key.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (self.directory.len() - 1)
    }

    /// The frame with that key, if a store has made it.
    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        if self.directory.is_empty() {
            return None;
        }
        let mut slot = self.first_slot(key);
        loop {
            let found = self.directory[slot].key.load(Relaxed);
            if found == key.0 + 1 {
                return Some(self.directory[slot].frame.load(Relaxed));
            }
            if found == 0 {
                return None;
            }
            slot = (slot + 1) & (self.directory.len() - 1);
        }
    }

    /// The frame with that key, made if it is not there; `None` when the room set aside is used up.
    pub(super) fn find_or_make(&self, key: Key) -> Option<u32> {
        if let Some(frame) = self.find(key) {
            return Some(frame);
        }
        let frame = self.used.load(Relaxed);
        let header = self.headers.get(frame as usize)?;
        let mut slot = self.first_slot(key);
        while self.directory[slot].key.load(Relaxed) != 0 {
            slot = (slot + 1) & (self.directory.len() - 1);
        }
        self.used.store(frame + 1, Relaxed);
        header.key.store(key.0, Relaxed);
        header.slot.store(slot as u32, Relaxed);
        header.region.store(NO_REGION, Relaxed);
        header.low.store(FRAME_WORDS as u32, Relaxed);
        header.high.store(0, Relaxed);
        self.directory[slot].frame.store(frame, Relaxed);
        self.directory[slot].key.store(key.0 + 1, Relaxed);
        Some(frame)
    }

    #[inline]
    pub(super) fn word_of(frame: u32, index: u64) -> Word {
        frame * FRAME_WORDS as u32 + (index as u32 & (FRAME_WORDS as u32 - 1))
    }

    #[inline]
    pub(super) fn word(&self, word: Word) -> &AtomicU64 {
        &self.words[word as usize]
    }

    /// The key of the word's frame and the word's place in it.
    pub(super) fn place(&self, word: Word) -> (Key, u64) {
        let frame = word as usize / FRAME_WORDS;
        (Key(self.headers[frame].key.load(Relaxed)), u64::from(word) % FRAME_WORDS as u64)
    }

    #[inline]
    pub(super) fn region(&self, frame: u32) -> u32 {
        self.headers[frame as usize].region.load(Relaxed)
    }

    pub(super) fn set_region(&self, frame: u32, region: u32) {
        self.headers[frame as usize].region.store(region, Relaxed);
    }

    /// Widens the range of the frame's words that were stored to.
    pub(super) fn note_store(&self, word: Word) {
        let header = &self.headers[word as usize / FRAME_WORDS];
        let index = word % FRAME_WORDS as u32;
        if index < header.low.load(Relaxed) {
            header.low.store(index, Relaxed);
        }
        if index >= header.high.load(Relaxed) {
            header.high.store(index + 1, Relaxed);
        }
    }

    /// Notes that the word held `old` before this step, unless that is noted already.
    #[inline]
    pub(super) fn log(&self, word: Word, old: u64) {
        let stamp = &self.stamps[word as usize];
        if stamp.load(Relaxed) == self.epoch {
            return;
        }
        stamp.store(self.epoch, Relaxed);
        self.note_store(word);
        let length = self.log_length.load(Relaxed);
        self.log_words[length as usize].store(word, Relaxed);
        self.log_values[length as usize].store(old, Relaxed);
        self.log_length.store(length + 1, Relaxed);
    }

    /// Whether this step stored to the word.
    pub(super) fn is_logged(&self, word: Word) -> bool {
        self.stamps[word as usize].load(Relaxed) == self.epoch
    }

    /// The words that this step stored to, each with its value before the step; in the order of first stores.
    pub(super) fn logged(&self) -> impl Iterator<Item = (Word, u64)> + '_ {
        let length = self.log_length.load(Relaxed) as usize;
        (0..length).map(|i| (self.log_words[i].load(Relaxed), self.log_values[i].load(Relaxed)))
    }

    /// How many frames exist; none goes before the next reset.
    #[inline]
    pub(super) fn made(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// The indices of the frame's words that were ever stored to lie in this range; all others are zero.
    pub(super) fn stored(&self, frame: u32) -> Range<u64> {
        let header = &self.headers[frame as usize];
        u64::from(header.low.load(Relaxed))..u64::from(header.high.load(Relaxed))
    }

    /// The frames that exist.
    pub(super) fn frames(&self) -> impl Iterator<Item = (u32, Key)> + '_ {
        (0..self.used.load(Relaxed)).map(|frame| (frame, Key(self.headers[frame as usize].key.load(Relaxed))))
    }

    /// The frames of real memory that overlap `[start, end)`.
    pub(super) fn frames_within(&self, start: u64, end: u64) -> impl Iterator<Item = (u32, Key)> + '_ {
        let (first, last) = (start >> FRAME_SHIFT, end.saturating_sub(1) >> FRAME_SHIFT);
        // Whichever is shorter: the range, looked up frame by frame, or all frames there are.
        let by_key = last.saturating_sub(first) < u64::from(self.used.load(Relaxed));
        let looked_up = by_key.then(|| {
            (first..=last).filter_map(|number| {
                let key = Key::new(Space::Real, number);
                self.find(key).map(|frame| (frame, key))
            })
        });
        let filtered = (!by_key).then(|| {
            self.frames().filter(move |(_, key)| key.space() == Space::Real && (first..=last).contains(&key.number()))
        });
        looked_up.into_iter().flatten().chain(filtered.into_iter().flatten())
    }

    /// The words of a frame that are not zero, each with its index in the frame.
    pub(super) fn nonzero(&self, frame: u32) -> impl Iterator<Item = (u64, u64)> + '_ {
        let start = frame as usize * FRAME_WORDS;
        let words = &self.words[start..start + FRAME_WORDS];
        let stored = self.stored(frame);
        let words = words.get(stored.start as usize..stored.end as usize).unwrap_or_default();
        (stored.start..).zip(words).filter_map(|(index, word)| match word.load(Relaxed) {
            0 => None,
            value => Some((index, value)),
        })
    }
}
