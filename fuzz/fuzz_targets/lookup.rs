//! Memory layouts, hot-plug and pfn lookups, without guest and windows.
#![cfg_attr(feature = "libfuzzer", no_main)]

use realmode_diff::SubjectKind;
use realmode_diff::focus::Focus;

realmode_fuzz::programs!(Focus::Lookup, SubjectKind::Candidate);
