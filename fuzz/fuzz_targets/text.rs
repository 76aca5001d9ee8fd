//! Runs the parser on hostile bytes. What it accepts must print, parse and encode to itself; an error must have a place
//! in the text.
#![cfg_attr(feature = "libfuzzer", no_main)]

realmode_fuzz::bytes!(realmode_diff::hunts::engine::text);
