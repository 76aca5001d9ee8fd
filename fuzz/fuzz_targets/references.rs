//! Conditional references, compound pages, and everything the host does with pages; no windows.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::References, SubjectKind::Candidate);
