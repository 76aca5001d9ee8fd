//! Conditional references, compound pages, and everything the host does with pages; no windows.
#![cfg_attr(feature = "libfuzzer", no_main)]

use realmode_diff::SubjectKind;
use realmode_diff::focus::Focus;

realmode_fuzz::programs!(Focus::References, SubjectKind::Candidate);
