//! Connects fuzz targets to fuzzing engines. The source of a target is one macro call; a feature selects the engine
//! that it is built for:
//!
//! | feature | engine | how to build |
//! |---|---|---|
//! | `libfuzzer` (default) | libFuzzer | `cargo fuzz build`, or `cargo libfuzzer TARGET` without cargo-fuzz |
//! | `afl` | AFL++ | `cargo afl build --no-default-features --features afl` |
//! | none | plain replay of files | `cargo run --no-default-features --bin TARGET -- FILE...` |

#[cfg(feature = "afl")]
pub mod aflpp;
mod finding;
#[cfg(feature = "libfuzzer")]
pub mod libfuzzer;
#[cfg(not(any(feature = "libfuzzer", feature = "afl")))]
pub mod replay;
mod target;

#[cfg(all(feature = "libfuzzer", feature = "afl"))]
compile_error!("a target is built for one engine: use --no-default-features --features afl");

#[cfg(feature = "libfuzzer")]
#[doc(hidden)]
pub use libfuzzer_sys;

pub use target::Target;

/// Defines a libFuzzer target that runs programs, given its focus and the subject that runs against the reference.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! programs {
    ($focus:expr, $subject:expr) => {
        std::thread_local! {
            static TARGET: std::cell::RefCell<$crate::Target> = std::cell::RefCell::new($crate::Target::new($focus, $subject));
        }
        use $crate::libfuzzer_sys;
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| -> libfuzzer_sys::Corpus {
            TARGET.with_borrow_mut(|target| $crate::libfuzzer::run(target, bytes))
        });
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            TARGET.with_borrow_mut(|target| $crate::libfuzzer::mutate(target, data, size, max_size, seed))
        });
        libfuzzer_sys::fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
            TARGET.with_borrow_mut(|target| target.mutator().crossover(one, other, out, seed.into()))
        });
    };
}

/// Defines a libFuzzer target that runs a function on any bytes; the function panics if it finds a mistake.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! bytes {
    ($run:expr) => {
        use $crate::libfuzzer_sys;
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            let run: fn(&[u8]) = $run;
            run(bytes);
        });
    };
}

/// Defines an AFL++ target that runs programs, given its focus and the subject that runs against the reference.
#[cfg(feature = "afl")]
#[macro_export]
macro_rules! programs {
    ($focus:expr, $subject:expr) => {
        /// AFL++ reads IJON's part of its map only if the target defines this symbol. Targets made by `bytes!` do not
        /// define it.
        // SAFETY: afl-compiler-rt defines the name as a u32. It reads it before `main`, and writes it where IJON is not
        // wanted (AFL_NO_IJON, and with CMPLOG), so the symbol must be in writable memory.
        #[allow(unsafe_code, missing_docs)]
        #[unsafe(no_mangle)]
        pub static __afl_ijon_enabled: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);

        fn main() {
            $crate::aflpp::programs($crate::Target::new($focus, $subject));
        }
    };
}

/// Defines an AFL++ target that runs a function on any bytes; the function panics if it finds a mistake.
#[cfg(feature = "afl")]
#[macro_export]
macro_rules! bytes {
    ($run:expr) => {
        fn main() {
            $crate::aflpp::bytes($run);
        }
    };
}

/// Defines a target without an engine that runs the programs in the files of its command line, given its focus and the
/// subject that runs against the reference.
#[cfg(not(any(feature = "libfuzzer", feature = "afl")))]
#[macro_export]
macro_rules! programs {
    ($focus:expr, $subject:expr) => {
        fn main() -> std::process::ExitCode {
            $crate::replay::programs($crate::Target::new($focus, $subject))
        }
    };
}

/// Defines a target without an engine that runs a function on the bytes of each file of its command line; the function
/// panics if it finds a mistake.
#[cfg(not(any(feature = "libfuzzer", feature = "afl")))]
#[macro_export]
macro_rules! bytes {
    ($run:expr) => {
        fn main() -> std::process::ExitCode {
            $crate::replay::bytes($run)
        }
    };
}
