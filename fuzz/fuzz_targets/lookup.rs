//! Memory layouts, hot-plug and pfn lookups, without guest and windows.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Lookup, SubjectKind::Candidate);
