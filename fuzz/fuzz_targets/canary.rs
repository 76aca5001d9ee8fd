//! The canary: the candidate with one mistake on purpose. An engine that finds nothing here does not work.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Program, SubjectKind::Canary);
