//! The mutator as fuzzing engines call it: bytes in, bytes out. A mutation that panics does not end the engine.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::{Program, Step};

use crate::encoding::{Form, RECORD, decode, encode_into, form};
use crate::focus::Focus;
use crate::quiet::{last_message, quietly};

/// Mutates and crosses encoded programs for one fuzz target. It reuses one buffer for all calls.
pub struct Mutator {
    focus: Focus,
    encoded: Vec<u8>,
    failures: u64,
}

/// A mutation or crossover that failed. Its text is one line for stderr, with what is needed to repeat the call.
struct Failure<'a> {
    call: &'static str,
    focus: Focus,
    seed: u64,
    reason: String,
    inputs: &'a [&'a [u8]],
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, focus, seed, reason, inputs } = self;
        write!(f, "realmode: {call} failed, the input stays as it is: {reason}; to see it again: ")?;
        write!(f, "Mutator::new(Focus::{focus:?}).{call} with seed {seed:#x} on")?;
        for input in *inputs {
            f.write_str(" ")?;
            input.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Runs `make` and returns its program. The error is the reason if `make` panics (with the message) or the program is
/// invalid.
fn attempt(make: impl FnOnce() -> Program) -> Result<Program, String> {
    let program = quietly(|| catch_unwind(AssertUnwindSafe(make))).map_err(|_| format!("panic: {}", last_message()))?;
    match program.validate() {
        Ok(()) => Ok(program),
        Err(invalid) => Err(format!("the program is not sound: {invalid}")),
    }
}

/// Returns the number of records of [`RECORD`] bytes that the encoding of the step has.
fn records(step: &Step) -> usize {
    1 + match step {
        Step::Write { words, .. } => words.len(),
        Step::HotAdd { blocks, .. } => blocks.len(),
        _ => 0,
    }
}

impl Mutator {
    /// Makes a mutator for the fuzz target that has this focus.
    #[must_use]
    pub const fn new(focus: Focus) -> Self {
        Self { focus, encoded: Vec::new(), failures: 0 }
    }

    /// Returns how many mutations and crossovers of this mutator failed: they panicked or made an invalid program. Each
    /// failure is a mistake of this crate. The engine only sees that the input did not change, so this number and a
    /// line on stderr are the only signs.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// Mutates the program that is encoded in `buffer[..size]` in place and returns its new size in bytes, at most
    /// `max_size` and at most the length of the buffer. The same input, sizes and seed give the same output.
    ///
    /// The output is the encoding of a valid program inside the focus. If it is longer than `max_size`, steps at its
    /// end are dropped. If even the machine is too long, or the mutation fails (which prints a line on stderr), the
    /// input stays as it is, cut to `max_size`.
    pub fn mutate(&mut self, buffer: &mut [u8], size: usize, max_size: usize, seed: u64) -> usize {
        let max_size = max_size.min(buffer.len());
        let size = size.min(buffer.len());
        let focus = self.focus;
        let made = self.make("mutate", &[&buffer[..size]], max_size, seed, || {
            let mut program = decode(&buffer[..size]);
            super::mutate(&mut program, focus, seed);
            program
        });
        if !made {
            return unchanged(&buffer[..size], max_size);
        }
        buffer[..self.encoded.len()].copy_from_slice(&self.encoded);
        self.encoded.len()
    }

    /// Makes a program of the programs that are encoded in `one` and `other`, writes it to `out` and returns its size
    /// in bytes. The new program has the machine of `one`; as after [`mutate`](Self::mutate) it is valid and inside the
    /// focus, and steps at its end are dropped if it is too long. If it cannot be made, or its machine alone is too
    /// long, `out` gets a copy of `one`, cut to the length of `out`.
    pub fn crossover(&mut self, one: &[u8], other: &[u8], out: &mut [u8], seed: u64) -> usize {
        let focus = self.focus;
        let made = self.make("crossover", &[one, other], out.len(), seed, || {
            super::crossover(&decode(one), &decode(other), focus, seed)
        });
        let child = if made { &self.encoded[..] } else { &one[..unchanged(one, out.len())] };
        out[..child.len()].copy_from_slice(child);
        child.len()
    }

    /// Runs `make` and encodes its program into `encoded`, in at most `max_size` bytes. Returns false if `make` panics
    /// or makes an invalid program (this counts as a failure, and a line is printed on stderr), or if the machine alone
    /// is too long.
    fn make(
        &mut self,
        call: &'static str,
        inputs: &[&[u8]],
        max_size: usize,
        seed: u64,
        make: impl FnOnce() -> Program,
    ) -> bool {
        match attempt(make) {
            Ok(program) => self.encode(program, max_size),
            Err(reason) => {
                self.failures += 1;
                eprintln!("{}", Failure { call, focus: self.focus, seed, reason, inputs });
                false
            }
        }
    }

    /// Encodes into `encoded` as much of the program as fits into `max_size` bytes: all of its machine, and steps from
    /// the first on. Returns false if the machine alone does not fit.
    fn encode(&mut self, mut program: Program, max_size: usize) -> bool {
        encode_into(&program, &mut self.encoded);
        let mut size = self.encoded.len();
        if size <= max_size {
            return true;
        }
        while size > max_size {
            let Some(step) = program.steps.pop() else { return false };
            size -= records(&step) * RECORD;
        }
        // A step's records stand together, and the steps stand at the end, so cutting the bytes drops the last steps.
        self.encoded.truncate(size);
        true
    }
}

/// Returns how many bytes of an unchanged input are handed back to the engine: all of them, or as many as fit into
/// `max_size`, of an encoded program only whole records.
fn unchanged(input: &[u8], max_size: usize) -> usize {
    match form(input) {
        _ if input.len() <= max_size => input.len(),
        Form::Current => max_size / RECORD * RECORD,
        _ => max_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{decode_exact, encode};
    use crate::generate::{GeneratorConfig, generate};

    fn sample() -> Program {
        generate(&GeneratorConfig::default(), 5, 3)
    }

    #[test]
    fn what_panics_leaves_its_message() {
        let reason = attempt(|| panic!("no such section")).expect_err("a panic");
        assert!(reason.starts_with("panic: no such section (line "), "{reason}");
    }

    #[test]
    fn what_is_not_sound_is_not_taken() {
        let broken = || {
            let mut program = sample();
            program.machine.struct_page = 57;
            program
        };
        let reason = attempt(broken).expect_err("an unsound program");
        assert!(reason.starts_with("the program is not sound: machine: struct_page 57"), "{reason}");
        assert_eq!(attempt(sample), Ok(sample()));
    }

    #[test]
    fn a_failure_says_how_to_see_it_again() {
        let inputs: &[&[u8]] = &[&[0x52, 0x4d], &[0xff]];
        let failure =
            Failure { call: "crossover", focus: Focus::PutTce, seed: 0xbeef, reason: "panic: x".into(), inputs };
        assert_eq!(
            failure.to_string(),
            "realmode: crossover failed, the input stays as it is: panic: x; to see it again: \
             Mutator::new(Focus::PutTce).crossover with seed 0xbeef on 524d ff"
        );
    }

    /// A mutation that fails leaves the input as it is, and the next mutation of the same mutator works.
    #[test]
    fn the_input_survives() {
        let mut mutator = Mutator::new(Focus::Program);
        let input = encode(&sample());
        assert!(!mutator.make("mutate", &[b"RM"], input.len(), 1, || panic!("in a test")));
        assert_eq!(unchanged(&input, input.len()), input.len());
        assert_eq!(unchanged(&input, input.len() - 1), input.len() - RECORD);
        assert!(mutator.make("mutate", &[&input], input.len(), 1, sample));
        assert_eq!(mutator.encoded, input);
    }

    #[test]
    fn what_does_not_fit_loses_steps() {
        let mut mutator = Mutator::new(Focus::Program);
        let program = sample();
        let whole = encode(&program);
        let machine = encode(&Program { steps: Vec::new(), ..program.clone() }).len();
        for max_size in 0..whole.len() + 1 {
            let fits = mutator.encode(program.clone(), max_size);
            assert_eq!(fits, max_size >= machine);
            if fits {
                assert!(mutator.encoded.len() <= max_size && whole.starts_with(&mutator.encoded));
                assert!(decode_exact(&mutator.encoded).is_ok(), "{max_size}");
            }
        }
    }
}
