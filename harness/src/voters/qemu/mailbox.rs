//! The mailbox: batches of requests to the guest's monitor, and the monitor's answers. Both lie in the memory that the
//! harness shares with QEMU. The harness accesses them with positioned reads and writes, without mapping the memory.

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
use crate::voters::ahead::Answer;

/// How many times the harness reads the done word in a loop before it sleeps between two reads.
const SPINS: u32 = 100;
/// The first sleep between two reads of the done word. Each sleep is twice as long as the one before, up to
/// [`LONGEST`].
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(1);

/// Requests that the harness hands to the guest together, and the data of the copy requests among them.
#[derive(Default)]
pub(super) struct Batch {
    requests: Vec<u8>,
    data: Vec<u8>,
}

impl Batch {
    /// Returns the number of requests in the batch.
    pub(super) fn len(&self) -> usize {
        self.requests.len() / REQUEST_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Returns whether the batch has no room for another request, or none for another request with a page of data.
    /// `limit` is the largest number of requests, from 1 to 4096.
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

    /// Adds a request for the hypercall `call` to the batch.
    pub(super) fn call(&mut self, call: &Hypercall) {
        let [r4, r5, r6, r7] = call.args;
        let [r8, r9] = R8_R9;
        self.push([call.opcode, r4, r5, r6, r7, r8, r9, CALL]);
    }

    /// Adds a request that stores `words`, at most 4 KiB of them, at guest physical address `to`. The caller makes sure
    /// that the batch is not full (`is_full`). `buffer` is the `Mailbox::next_buffer` that the batch will be posted in.
    pub(super) fn copy(&mut self, buffer: u64, to: u64, words: &[u64]) {
        let from = buffer + DATA + self.data.len() as u64;
        for word in words {
            self.data.extend_from_slice(&word.to_be_bytes());
        }
        self.push([0, to, from, words.len() as u64, 0, 0, 0, COPY]);
    }
}

/// How waiting for the oldest batch ended.
pub(super) enum Waited<E> {
    /// The guest has answered all requests of the batch.
    Done,
    /// The guest answered nothing within the time limit.
    Silent,
    /// QEMU's machine ended; the value says how.
    Dead(E),
}

struct Posted {
    number: u64,
    requests: usize,
}

/// The two buffers in the shared memory, and the batches whose answers were not taken yet.
#[derive(Default)]
pub(super) struct Mailbox {
    /// Number of the last batch that was posted, counted from 1; 0 if none was posted.
    last: u64,
    posted: VecDeque<Posted>,
    bytes: Vec<u8>,
}

impl Mailbox {
    /// Returns whether both buffers hold a batch whose answers have not been taken.
    pub(super) fn is_full(&self) -> bool {
        self.posted.len() == BUFFERS.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.posted.is_empty()
    }

    /// Returns the guest physical address of the buffer in which the next batch will be posted.
    pub(super) const fn next_buffer(&self) -> u64 {
        BUFFERS[(self.last % 2) as usize]
    }

    /// Hands a batch to the guest, in the next of the two buffers. The caller makes sure that the mailbox is not full
    /// (`is_full`): else the batch would overwrite one whose answers have not been taken. Fails if the shared memory
    /// cannot be written.
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

    /// Waits until the guest has answered the whole oldest batch, until the machine has ended, or until there was no
    /// new answer for `limit`. Returns [`Waited::Done`] at once if no batch is waiting. `ended` returns how the machine
    /// ended, `None` while it runs. Fails if the shared memory cannot be read.
    pub(super) fn wait<E>(
        &self,
        memory: &File,
        limit: Duration,
        mut ended: impl FnMut() -> Option<E>,
    ) -> io::Result<Waited<E>> {
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

    /// Removes the oldest batch and returns its answers, in the order of its requests; none if no batch is waiting.
    /// `waited` is what [`wait`](Self::wait) returned. If the machine was lost, there are only the answers that the
    /// guest had written by then; the machine was lost at the first request without an answer. Fails if the shared
    /// memory cannot be read.
    pub(super) fn take<E>(
        &mut self,
        memory: &File,
        waited: &Waited<E>,
    ) -> io::Result<impl Iterator<Item = Answer> + use<'_, E>> {
        let mut answers = 0;
        if let Some(Posted { number, requests }) = self.posted.pop_front() {
            answers = match waited {
                Waited::Done => requests,
                Waited::Silent | Waited::Dead(_) => match Self::done(memory, number)? {
                    (true, _) => requests,
                    // Before the guest begins, the word is that of an earlier batch.
                    (false, left) if (1..=requests as u64).contains(&left) => requests - left as usize,
                    (false, _) => 0,
                },
            };
            self.bytes.resize(answers * ANSWER_BYTES, 0);
            memory.read_exact_at(&mut self.bytes, BUFFERS[((number - 1) % 2) as usize] + ANSWERS)?;
        }
        Ok(self.bytes[..answers * ANSWER_BYTES].chunks_exact(ANSWER_BYTES).map(|bytes| Answer {
            r3: word(&bytes[..8]),
            r4: word(&bytes[8..16]),
            others: word(&bytes[16..]),
        }))
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
