//! Runs lookups of pfns and hot-plug on many memory layouts, without guest and windows.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Lookup, SubjectKind::Candidate);
