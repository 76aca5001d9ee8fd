//! AFL++: the loop that runs inputs, and feedback through IJON.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use realmode_diff::hunts::engine::EngineRun;

use crate::{Target, finding};

/// Runs the programs that AFL++ hands over until AFL++ ends the loop. A finding is not recorded, because AFL++ kills a
/// process that takes long: the target writes the sequence that the finding needs, if it needs one, and panics with its
/// message. `realmode triage` records the finding from the crash file or the sequence.
pub fn programs(target: Target) {
    let mut tell: fn(usize) = if target.feedback() { reached } else { |_| {} };
    let target = AssertUnwindSafe(RefCell::new(target));
    afl::fuzz(true, move |bytes| {
        let mut target = target.borrow_mut();
        match target.run(bytes, &mut tell) {
            EngineRun::Agreed | EngineRun::NotCompared(_) | EngineRun::Rejected => {}
            EngineRun::Finding(finding, program) => {
                finding::leave_sequence(&target, &finding, &program, "afl");
                panic!("{finding}");
            }
        }
    });
}

/// Runs `run` on the inputs that AFL++ hands over until AFL++ ends the loop.
pub fn bytes(run: fn(&[u8])) {
    afl::fuzz(true, run);
}

/// Reports to AFL++ that the running program reached the combination with this number.
fn reached(combination: usize) {
    // SAFETY: AFL++'s runtime is linked into every target. The function sets a byte of its map, and bounds the index
    // itself.
    #[allow(unsafe_code)]
    unsafe {
        afl::ijon_set(LOCATION, combination as u32);
    }
}

/// The place in the source that IJON mixes into each reported number, to keep numbers of different places apart. All
/// numbers here come from one place.
const LOCATION: u32 = 0;
