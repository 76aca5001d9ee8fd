//! Runs the parser of the text form on hostile bytes. A program that the parser accepts must stay the same when it is
//! printed and parsed, and when it is encoded and decoded; an error must have a place in the text.
#![cfg_attr(feature = "libfuzzer", no_main)]

realmode_fuzz::bytes!(realmode_diff::hunts::engine::text);
