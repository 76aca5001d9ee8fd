//! Where things lie in QEMU's memory: what the guest's monitor (guest.s) and the harness agree on.
//!
//! All words are big-endian. The top 16 MiB of memory belong to the monitor, the rest to the program under test.

/// Bytes of the machine's memory, all of it RAM from 0 on.
pub(crate) const RAM: u64 = 256 << 20;
/// The first address that is not the program's: no list may lie from here to the end of memory.
pub(crate) const RESERVED: u64 = MONITOR;
/// Where the monitor lies and is entered.
pub(super) const MONITOR: u64 = 0x0f00_0000;
/// Arguments and results of an RTAS call.
pub(super) const RTAS: u64 = MONITOR + 0x1000;
/// The two buffers: while the guest works on one batch the harness writes the next.
pub(super) const BUFFERS: [u64; 2] = [0x0f40_0000, 0x0f80_0000];

/// In a buffer: the number of the batch, written last; beside it how many requests it has.
pub(super) const DOORBELL: u64 = 0;
/// In a buffer: the number of the last batch that is done; beside it how many of its requests have no answer yet.
pub(super) const DONE: u64 = 128;
/// In a buffer: the requests.
pub(super) const REQUESTS: u64 = 0x1000;
/// In a buffer: the answers, one a request.
pub(super) const ANSWERS: u64 = 0x8_0000;
/// In a buffer: words for [`COPY`].
pub(super) const DATA: u64 = 0xc_0000;
/// Bytes of a buffer's data.
pub(super) const DATA_BYTES: usize = 0x34_0000;

/// Bytes of a request: r3 to r9, and what it is.
pub(super) const REQUEST_BYTES: usize = 64;
/// Bytes of an answer: r3, r4, and the bits of r5 to r9 that did not come back as they went.
pub(super) const ANSWER_BYTES: usize = 24;
/// Most requests of a batch.
pub(super) const MAX_BATCH: usize = 4096;
/// The last word of a request that is a hypercall.
pub(super) const CALL: u64 = 0;
/// The last word of one that is none: r6 doublewords are copied from r5 to r4.
pub(super) const COPY: u64 = 1;
/// What r8 and r9 hold in every request.
pub(super) const R8_R9: [u64; 2] = [0x8888_8888_8888_8888, 0x9999_9999_9999_9999];

const _: () = assert!(REQUESTS as usize + MAX_BATCH * REQUEST_BYTES <= ANSWERS as usize);
const _: () = assert!(ANSWERS as usize + MAX_BATCH * ANSWER_BYTES <= DATA as usize);
const _: () = assert!(BUFFERS[0] + DATA + DATA_BYTES as u64 <= BUFFERS[1]);
const _: () = assert!(BUFFERS[1] + DATA + DATA_BYTES as u64 <= RAM);
