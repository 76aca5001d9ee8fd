//! Whole programs: all hypercalls, probes and host steps.
#![cfg_attr(feature = "libfuzzer", no_main)]

use realmode_diff::SubjectKind;
use realmode_diff::focus::Focus;

realmode_fuzz::programs!(Focus::Program, SubjectKind::Candidate);
