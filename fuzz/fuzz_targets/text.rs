//! The parser on hostile bytes: what it takes must print, parse and encode to itself; what it refuses it refuses with a
//! place.
#![cfg_attr(feature = "libfuzzer", no_main)]

realmode_fuzz::bytes!(realmode_diff::hunts::engine::text);
