//! H_PUT_TCE_INDIRECT, H_STUFF_TCE and H_GET_TCE, lists, and everything the host does meanwhile.
#![cfg_attr(feature = "libfuzzer", no_main)]

use programs::focus::Focus;
use realmode_diff::SubjectKind;

realmode_fuzz::programs!(Focus::Indirect, SubjectKind::Candidate);
