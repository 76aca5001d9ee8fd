//! H_PUT_TCE and H_GET_TCE, and everything the host does meanwhile.
#![cfg_attr(feature = "libfuzzer", no_main)]

use realmode_diff::SubjectKind;
use realmode_diff::focus::Focus;

realmode_fuzz::programs!(Focus::PutTce, SubjectKind::Candidate);
