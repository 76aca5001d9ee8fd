//! Runs H_PUT_TCE, H_GET_TCE, unknown opcodes, probes, and all host steps.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::PutTce, SubjectKind::Candidate);
