//! A target that does nothing with its input, to measure what an engine costs by itself.
#![cfg_attr(feature = "libfuzzer", no_main)]

realmode_fuzz::bytes!(|bytes: &[u8]| _ = std::hint::black_box(bytes));
