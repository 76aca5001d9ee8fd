//! The glue between fuzz targets and engines. A target is one line; which engine it is built for is a feature:
//!
//! | feature | engine | how to build |
//! |---|---|---|
//! | `libfuzzer` (default) | libFuzzer | `cargo fuzz build`, or `cargo libfuzzer TARGET` without cargo-fuzz |
//! | `afl` | AFL++ | `cargo afl build --no-default-features --features afl` |
//! | none | plain replay of files | `cargo run --no-default-features --bin TARGET -- FILE...` |

#[cfg(feature = "afl")]
pub mod aflpp;
#[cfg(not(feature = "afl"))]
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

/// A target that runs programs: its focus and who runs against the reference.
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

/// A target that does something with any bytes, and panics where it finds a mistake.
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

/// A target that runs programs: its focus and who runs against the reference.
#[cfg(feature = "afl")]
#[macro_export]
macro_rules! programs {
    ($focus:expr, $subject:expr) => {
        /// AFL++ looks at IJON's part of its map only where this says so. Targets of bytes have none.
        // SAFETY: the name is AFL++'s (afl-compiler-rt), where it is a u32 that is read before `main`, and written
        // where IJON is not wanted (AFL_NO_IJON, and beside CMPLOG): so it must not lie among constants.
        #[allow(unsafe_code, missing_docs)]
        #[unsafe(no_mangle)]
        pub static __afl_ijon_enabled: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);

        fn main() {
            $crate::aflpp::programs($crate::Target::new($focus, $subject));
        }
    };
}

/// A target that does something with any bytes, and panics where it finds a mistake.
#[cfg(feature = "afl")]
#[macro_export]
macro_rules! bytes {
    ($run:expr) => {
        fn main() {
            $crate::aflpp::bytes($run);
        }
    };
}

/// A target that runs programs: its focus and who runs against the reference.
#[cfg(not(any(feature = "libfuzzer", feature = "afl")))]
#[macro_export]
macro_rules! programs {
    ($focus:expr, $subject:expr) => {
        fn main() -> std::process::ExitCode {
            $crate::replay::programs($crate::Target::new($focus, $subject))
        }
    };
}

/// A target that does something with any bytes, and panics where it finds a mistake.
#[cfg(not(any(feature = "libfuzzer", feature = "afl")))]
#[macro_export]
macro_rules! bytes {
    ($run:expr) => {
        fn main() -> std::process::ExitCode {
            $crate::replay::bytes($run)
        }
    };
}
