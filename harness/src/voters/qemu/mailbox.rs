//! Requests to the guest's monitor and its answers, in batches, through shared memory: positioned reads and writes, no mapping.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use contract::Hypercall;

use super::layout::{
    ANSWER_BYTES, ANSWERS, BUFFERS, CALL, COPY, DATA, DATA_BYTES, DONE, DOORBELL, MAX_BATCH, R8_R9, REQUEST_BYTES,
    REQUESTS,
};

/// Reads of the done word before the harness sleeps between them.
const SPINS: u32 = 100;
/// The first sleep; each is twice as long as the one before, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(1);

/// Requests that go to the guest together.
#[derive(Default)]
pub(super) struct Batch {
    requests: Vec<u8>,
    data: Vec<u8>,
}

impl Batch {
    /// How many requests it has.
    pub(super) fn len(&self) -> usize {
        self.requests.len() / REQUEST_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether no request fits any more, or none with a list of data.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.len() >= limit.clamp(1, MAX_BATCH) || self.data.len() + contract::hcall::LIST_BYTES as usize > DATA_BYTES
    }

    pub(super) fn clear(&mut self) {
        self.requests.clear();
        self.data.clear();
    }

    fn push(&mut self, words: [u64; REQUEST_BYTES / 8]) {
        for word in words {
            self.requests.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// A hypercall.
    pub(super) fn call(&mut self, call: &Hypercall) {
        let [r4, r5, r6, r7] = call.args;
        let [r8, r9] = R8_R9;
        self.push([call.opcode, r4, r5, r6, r7, r8, r9, CALL]);
    }

    /// Words to be stored at `to` before the next request; at most a page of them.
    pub(super) fn copy(&mut self, buffer: u64, to: u64, words: &[u64]) {
        let from = buffer + DATA + self.data.len() as u64;
        for word in words {
            self.data.extend_from_slice(&word.to_be_bytes());
        }
        self.push([0, to, from, words.len() as u64, 0, 0, 0, COPY]);
    }
}

/// What a hypercall left in the registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) r3: u64,
    pub(super) r4: u64,
    /// Bits of r5 to r9 that did not come back as they went.
    pub(super) others: u64,
}

/// What became of a batch that was waited for.
pub(super) enum Waited {
    /// It is done.
    Done,
    /// Nothing came within the limit.
    Silent,
    /// The machine is gone; how it ended.
    Dead(String),
}

struct Posted {
    number: u64,
    requests: usize,
}

/// The two buffers.
#[derive(Default)]
pub(super) struct Mailbox {
    /// Number of the last batch that was posted.
    last: u64,
    posted: VecDeque<Posted>,
    bytes: Vec<u8>,
}

impl Mailbox {
    /// Whether both buffers are taken.
    pub(super) fn is_full(&self) -> bool {
        self.posted.len() == BUFFERS.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.posted.is_empty()
    }

    /// The buffer that the next batch goes to.
    pub(super) const fn next_buffer(&self) -> u64 {
        BUFFERS[(self.last % 2) as usize]
    }

    /// Hands a batch to the guest. One buffer at least must be free.
    pub(super) fn post(&mut self, memory: &File, batch: &Batch) -> io::Result<()> {
        let buffer = self.next_buffer();
        memory.write_all_at(&batch.requests, buffer + REQUESTS)?;
        if !batch.data.is_empty() {
            memory.write_all_at(&batch.data, buffer + DATA)?;
        }
        self.last += 1;
        memory.write_all_at(&(batch.len() as u64).to_be_bytes(), buffer + DOORBELL + 8)?;
        memory.write_all_at(&self.last.to_be_bytes(), buffer + DOORBELL)?;
        self.posted.push_back(Posted { number: self.last, requests: batch.len() });
        Ok(())
    }

    fn done(memory: &File, number: u64) -> io::Result<(bool, u64)> {
        let mut words = [0; 16];
        memory.read_exact_at(&mut words, BUFFERS[((number - 1) % 2) as usize] + DONE)?;
        let [done, left] = [word(&words[..8]), word(&words[8..])];
        Ok((done == number, left))
    }

    /// Waits for the oldest batch that was posted. `ended` says how the machine ended, if it has.
    pub(super) fn wait(
        &self,
        memory: &File,
        limit: Duration,
        mut ended: impl FnMut() -> Option<String>,
    ) -> io::Result<Waited> {
        let Some(oldest) = self.posted.front() else { return Ok(Waited::Done) };
        let mut reads = 0;
        let mut sleep = SHORTEST;
        let mut since: Option<Instant> = None;
        let mut progress = None;
        loop {
            let (done, left) = Self::done(memory, oldest.number)?;
            if done {
                return Ok(Waited::Done);
            }
            if reads < SPINS {
                reads += 1;
                std::hint::spin_loop();
                continue;
            }
            if progress != Some(left) {
                progress = Some(left);
                since = None;
            }
            let start = *since.get_or_insert_with(Instant::now);
            if let Some(how) = ended() {
                return Ok(Waited::Dead(how));
            }
            if start.elapsed() >= limit {
                return Ok(Waited::Silent);
            }
            std::thread::sleep(sleep);
            sleep = LONGEST.min(2 * sleep);
        }
    }

    /// The answers of the oldest batch, which is done; it is posted no more.
    pub(super) fn take(&mut self, memory: &File) -> io::Result<impl Iterator<Item = Answer> + '_> {
        let requests = match self.posted.pop_front() {
            Some(Posted { number, requests }) => {
                self.bytes.resize(requests * ANSWER_BYTES, 0);
                memory.read_exact_at(&mut self.bytes, BUFFERS[((number - 1) % 2) as usize] + ANSWERS)?;
                requests
            }
            None => 0,
        };
        Ok(self.bytes[..requests * ANSWER_BYTES].chunks_exact(ANSWER_BYTES).map(|bytes| Answer {
            r3: word(&bytes[..8]),
            r4: word(&bytes[8..16]),
            others: word(&bytes[16..]),
        }))
    }

    /// The oldest batch's requests, and how many of them have no answer: the first of those is the one that the machine hangs at,
    /// or died of.
    pub(super) fn unanswered(&self, memory: &File) -> (usize, usize) {
        let Some(oldest) = self.posted.front() else { return (0, 0) };
        let requests = oldest.requests;
        match Self::done(memory, oldest.number) {
            Ok((false, left)) if (1..=requests as u64).contains(&left) => (requests, left as usize),
            _ => (requests, requests),
        }
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
