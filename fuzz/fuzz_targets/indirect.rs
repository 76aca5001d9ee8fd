//! Runs H_PUT_TCE_INDIRECT with its lists, H_STUFF_TCE, H_GET_TCE, unknown opcodes, probes, and all host steps.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Indirect, SubjectKind::Candidate);
