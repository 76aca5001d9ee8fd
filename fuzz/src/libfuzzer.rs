//! libFuzzer: extra counters, mutation, and what happens with a finding.

use std::sync::atomic::{AtomicU8, Ordering};

use libfuzzer_sys::Corpus;
use programs::encoding::{decode, encode_into};
use realmode_diff::check::feedback::COMBINATIONS;
use realmode_diff::hunts::engine::EngineRun;

use crate::{Target, finding};

/// libFuzzer clears this section before each input and takes each byte in it that is not zero for a feature, as it does
/// with its own counters. The name is its interface (`-use_extra_counters`, FuzzerExtraCounters.cpp).
// SAFETY: the section holds nothing but bytes without padding, which is all that libFuzzer wants of it; it writes to
// them between runs of the target, on the thread that runs the target.
#[used]
#[allow(unsafe_code)]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static REACHED: [AtomicU8; COMBINATIONS] = [const { AtomicU8::new(0) }; COMBINATIONS];

/// Of so many mutations one is libFuzzer's own, which knows the operands of comparisons.
const OWN_MUTATION: u32 = 8;

/// Runs an input. A finding is written down, then the process aborts, so that libFuzzer keeps the input.
pub fn run(target: &mut Target, bytes: &[u8]) -> Corpus {
    let (subject, feedback) = (target.subject(), target.feedback());
    let mut reached = |combination: usize| {
        if feedback {
            REACHED[combination].store(1, Ordering::Relaxed);
        }
    };
    match target.engine().run(bytes, &mut reached) {
        EngineRun::Agreed => Corpus::Keep,
        // What compares nothing is not worth mutating.
        EngineRun::NotCompared(not) => {
            if not.compared {
                Corpus::Keep
            } else {
                Corpus::Reject
            }
        }
        EngineRun::Rejected => Corpus::Reject,
        EngineRun::Finding(finding, program) => finding::abort(&finding, &program, subject, "libfuzzer"),
    }
}

/// Changes an input: mostly as a program, now and then as bytes, which are then made a program again.
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
