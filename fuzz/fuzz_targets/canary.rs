//! Must fail: the candidate with a mistake made on purpose. An engine that finds nothing here is blind.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Program, SubjectKind::Canary);
