//! Runs whole programs: all hypercalls, probes and host steps.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Program, SubjectKind::Candidate);
