//! Runs H_PUT_TCE_INDIRECT, H_STUFF_TCE and H_GET_TCE with their lists, and all host steps.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Indirect, SubjectKind::Candidate);
