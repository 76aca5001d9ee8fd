//! libFuzzer: feedback through extra counters, mutation, and the handling of findings.

use std::sync::atomic::{AtomicU8, Ordering};

use libfuzzer_sys::Corpus;
use programs::encoding::{decode, encode_into};
use realmode_diff::check::feedback::COMBINATIONS;
use realmode_diff::hunts::engine::EngineRun;

use crate::{Target, finding};

/// One byte for each combination, 1 if the running program reached it. libFuzzer clears this section before each input,
/// and takes each byte that is not zero afterwards for a feature, like its own counters. The name of the section is
/// fixed by libFuzzer (`-use_extra_counters`, FuzzerExtraCounters.cpp).
// SAFETY: libFuzzer needs a section of bytes without padding, which this is. It writes to them between runs of the
// target, on the thread that runs the target.
#[used]
#[allow(unsafe_code)]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static REACHED: [AtomicU8; COMBINATIONS] = [const { AtomicU8::new(0) }; COMBINATIONS];

/// Of this many mutations one, on average, is libFuzzer's own, which uses the operands of comparisons that the code of
/// the target made.
const OWN_MUTATION: u32 = 8;

/// Runs one input. A finding is recorded, then the target panics, so that libFuzzer keeps the input. Returns whether
/// libFuzzer may add the input to its corpus: not if nothing was compared or it was not run.
pub fn run(target: &mut Target, bytes: &[u8]) -> Corpus {
    let feedback = target.feedback();
    let mut reached = |combination: usize| {
        if feedback {
            REACHED[combination].store(1, Ordering::Relaxed);
        }
    };
    match target.run(bytes, &mut reached) {
        EngineRun::Agreed => Corpus::Keep,
        // A program of which nothing was compared is not worth mutating.
        EngineRun::NotCompared(not) => {
            if not.compared {
                Corpus::Keep
            } else {
                Corpus::Reject
            }
        }
        EngineRun::Rejected => Corpus::Reject,
        EngineRun::Finding(finding, program) => finding::abort(target, &finding, &program, "libfuzzer"),
    }
}

/// Mutates the input in `data[..size]` in place and returns its new size in bytes, at most `max_size`. Mostly the
/// mutator mutates it as a program; one in `OWN_MUTATION` times libFuzzer mutates its bytes, which are then decoded and
/// encoded again if the encoding fits into `max_size`.
pub fn mutate(target: &mut Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed.is_multiple_of(OWN_MUTATION) {
        let size = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
        let mut bytes = Vec::new();
        encode_into(&decode(&data[..size]), &mut bytes);
        if bytes.len() <= max_size {
            data[..bytes.len()].copy_from_slice(&bytes);
            return bytes.len();
        }
        return size;
    }
    target.mutator().mutate(data, size, max_size, seed.into())
}
