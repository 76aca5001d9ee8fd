//! Runs lookups, conditional references, compound pages and the other host steps on pages, without windows.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::References, SubjectKind::Candidate);
