//! Runs lookups, conditional references, and all host steps except those on windows. The machine has no windows.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::References, SubjectKind::Candidate);
