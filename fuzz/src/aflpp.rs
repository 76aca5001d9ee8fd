//! AFL++: IJON state, and the loop.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use realmode_diff::hunts::engine::EngineRun;

use crate::Target;

/// Runs programs until AFL++ has enough. It kills what takes long, so a finding is only named; `realmode triage` does
/// the rest.
pub fn programs(target: Target) {
    let mut tell: fn(usize) = if target.feedback() { reached } else { |_| {} };
    let target = AssertUnwindSafe(RefCell::new(target));
    afl::fuzz(true, move |bytes| {
        let target = &target;
        match target.borrow_mut().engine().run(bytes, &mut tell) {
            EngineRun::Agreed | EngineRun::NotCompared(_) | EngineRun::Rejected => {}
            EngineRun::Finding(finding, _) => panic!("{finding}"),
        }
    });
}

/// Runs `run` on inputs until AFL++ has enough.
pub fn bytes(run: fn(&[u8])) {
    afl::fuzz(true, run);
}

fn reached(combination: usize) {
    // SAFETY: AFL++'s runtime is linked into every target; the function sets a byte of its map, at an index that it
    // bounds itself.
    #[allow(unsafe_code)]
    unsafe {
        afl::ijon_set(LOCATION, combination as u32);
    }
}

/// IJON tells states of different places in a program apart by mixing the place in; all of ours come from one.
const LOCATION: u32 = 0;
