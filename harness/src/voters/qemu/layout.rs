//! Where things lie in QEMU's memory: what the guest's monitor (guest.s) and the harness agree on.
//!
//! All words are big-endian. The top 16 MiB of memory belong to the monitor, the rest to the program under test.

/// Size of the machine's memory in bytes. All of it is RAM, from address 0 on.
pub(crate) const RAM: u64 = 256 << 20;
/// First guest physical address that does not belong to the program. No list may lie from here to the end of memory.
pub(crate) const RESERVED: u64 = MONITOR;
/// Guest physical address of the monitor's code. The monitor is entered at its first instruction.
pub(super) const MONITOR: u64 = 0x0f00_0000;
/// Guest physical address of the arguments and results of an RTAS call.
pub(super) const RTAS: u64 = MONITOR + 0x1000;
/// Guest physical addresses of the two buffers. While the guest works on the batch in one buffer, the harness writes
/// the next batch to the other.
pub(super) const BUFFERS: [u64; 2] = [0x0f40_0000, 0x0f80_0000];

/// Offset in a buffer, in bytes, of the number of the batch, which the harness writes last. The word after it is the
/// number of requests in the batch.
pub(super) const DOORBELL: u64 = 0;
/// Offset in a buffer, in bytes, of the number of the last batch that is done. The word after it is the number of
/// requests of the running batch that have no answer yet.
pub(super) const DONE: u64 = 128;
/// Offset of the requests in a buffer, in bytes.
pub(super) const REQUESTS: u64 = 0x1000;
/// Offset of the answers in a buffer, in bytes. There is one answer for each request.
pub(super) const ANSWERS: u64 = 0x8_0000;
/// Offset in a buffer, in bytes, of the words that [`COPY`] requests copy.
pub(super) const DATA: u64 = 0xc_0000;
/// Size of a buffer's area for words to copy, in bytes.
pub(super) const DATA_BYTES: usize = 0x34_0000;

/// Size of a request in bytes: r3 to r9, then a word for the kind of request.
pub(super) const REQUEST_BYTES: usize = 64;
/// Size of an answer in bytes: r3, r4, and a word with the bits of r5 to r9 that the hypercall changed.
pub(super) const ANSWER_BYTES: usize = 24;
/// Largest number of requests in a batch.
pub(super) const MAX_BATCH: usize = 4096;
/// Last word of a request that asks for a hypercall.
pub(super) const CALL: u64 = 0;
/// Last word of a request that asks for a copy: the guest copies r6 words of 8 bytes from address r5 to address r4.
pub(super) const COPY: u64 = 1;
/// The values of r8 and r9 in every request for a hypercall.
pub(super) const R8_R9: [u64; 2] = [0x8888_8888_8888_8888, 0x9999_9999_9999_9999];

const _: () = assert!(REQUESTS as usize + MAX_BATCH * REQUEST_BYTES <= ANSWERS as usize);
const _: () = assert!(ANSWERS as usize + MAX_BATCH * ANSWER_BYTES <= DATA as usize);
const _: () = assert!(BUFFERS[0] + DATA + DATA_BYTES as u64 <= BUFFERS[1]);
const _: () = assert!(BUFFERS[1] + DATA + DATA_BYTES as u64 <= RAM);
