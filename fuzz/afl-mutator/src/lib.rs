//! AFL++'s custom mutator: mutates, crosses and trims programs. AFL++ loads it with
//! `AFL_CUSTOM_MUTATOR_LIBRARY=librealmode_afl_mutator.so`. `REALMODE_FOCUS` names the fuzz target; the default is
//! `program`.
//!
//! [`programs::mutate`] does the work, the same code that libFuzzer's targets call. All unsafe code of this crate is in
//! this file, and only turns AFL++'s pointers into slices and references.
#![allow(unsafe_code)]

mod trim;

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::slice;

use programs::focus::Focus;
use programs::mutate::Mutator;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use trim::Trim;

/// Of this many calls of [`afl_custom_fuzz`] one, on average, crosses the input with the other input of AFL++'s queue
/// that AFL++ passes; the others mutate it.
const CROSSOVER: u64 = 4;

/// Number of mutations of one input before AFL++ goes on to the next input. By itself AFL++ would make a thousand and
/// more, and hardly leave the programs that it started from: with 32 it reached 201 combinations of
/// [`realmode_diff::check::feedback`] in 51,000 runs, without this limit 161 in 488,000.
const MUTATIONS: c_uint = 32;

/// The mutator's state, which AFL++ keeps between calls and passes as `data`.
pub struct State {
    mutator: Mutator,
    /// Draws a seed for each mutation and crossover.
    seeds: Xoshiro256PlusPlus,
    out: Vec<u8>,
    trim: Trim,
}

/// Makes the state ([`State`]) that AFL++ passes to every other function as `data`. `seed` is the seed of all
/// mutations. Returns null if `REALMODE_FOCUS` names no fuzz target; AFL++ reports that.
#[unsafe(no_mangle)]
pub extern "C" fn afl_custom_init(_afl: *mut c_void, seed: c_uint) -> *mut c_void {
    let name = std::env::var("REALMODE_FOCUS").unwrap_or_else(|_| Focus::Program.name().into());
    let Some(focus) = Focus::from_name(&name) else {
        let known = Focus::ALL.map(Focus::name).join(", ");
        eprintln!("REALMODE_FOCUS: found `{name}`, expected one of {known}");
        return ptr::null_mut();
    };
    let seeds = Xoshiro256PlusPlus::seed_from_u64(seed.into());
    let state = State { mutator: Mutator::new(focus), seeds, out: Vec::new(), trim: Trim::default() };
    Box::into_raw(Box::new(state)).cast()
}

/// Returns how often AFL++ mutates one input before it goes on to the next input.
#[unsafe(no_mangle)]
pub extern "C" fn afl_custom_fuzz_count(_data: *mut c_void, _buf: *const u8, _buf_size: usize) -> c_uint {
    MUTATIONS
}

/// Mutates the input `buf`, or crosses it with the input `add_buf` if that is not empty. Sets `out_buf` to the result,
/// which belongs to the state and stays valid until the next call, and returns its size in bytes, at most `max_size`.
///
/// # Safety
/// As AFL++ calls it: `data` is what [`afl_custom_init`] returned, the buffers hold as many bytes as their sizes say,
/// and `out_buf` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn afl_custom_fuzz(
    data: *mut c_void,
    buf: *mut u8,
    buf_size: usize,
    out_buf: *mut *mut u8,
    add_buf: *mut u8,
    add_buf_size: usize,
    max_size: usize,
) -> usize {
    // SAFETY: by the contract above. AFL++ calls from one thread, and reads the output before its next call.
    let (state, input, other, out_buf) =
        unsafe { (state(data), bytes(buf, buf_size), bytes(add_buf, add_buf_size), &mut *out_buf) };
    let State { mutator, seeds, out, .. } = state;
    let seed = seeds.next_u64();
    out.clear();
    out.resize(max_size.max(buf_size), 0);
    let size = if !other.is_empty() && seed.is_multiple_of(CROSSOVER) {
        mutator.crossover(input, other, &mut out[..max_size], seed)
    } else {
        out[..input.len()].copy_from_slice(input);
        mutator.mutate(out, input.len(), max_size, seed)
    };
    *out_buf = out.as_mut_ptr();
    size
}

/// Begins to trim the input `buf`. Returns the largest number of trimming steps; 0 if the input is not an encoded
/// program or has fewer than two records after the header.
///
/// # Safety
/// As AFL++ calls it: see [`afl_custom_fuzz`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn afl_custom_init_trim(data: *mut c_void, buf: *mut u8, buf_size: usize) -> c_int {
    // SAFETY: by the contract above.
    let (state, input) = unsafe { (state(data), bytes(buf, buf_size)) };
    c_int::try_from(state.trim.start(input)).unwrap_or(c_int::MAX)
}

/// Sets `out_buf` to the trimmed input without its next range of records, and returns the size in bytes.
///
/// # Safety
/// As AFL++ calls it: see [`afl_custom_fuzz`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn afl_custom_trim(data: *mut c_void, out_buf: *mut *mut u8) -> usize {
    // SAFETY: by the contract above; AFL++ only reads the output.
    let (state, out_buf) = unsafe { (state(data), &mut *out_buf) };
    let candidate = state.trim.candidate();
    *out_buf = candidate.as_ptr().cast_mut();
    candidate.len()
}

/// Tells the mutator whether the output of [`afl_custom_trim`] behaved like the input before it (`success` is not 0).
/// Returns the number of the next trimming step, or the number of all steps when trimming is done.
///
/// # Safety
/// As AFL++ calls it: see [`afl_custom_fuzz`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn afl_custom_post_trim(data: *mut c_void, success: u8) -> c_int {
    // SAFETY: by the contract above.
    let state = unsafe { state(data) };
    c_int::try_from(state.trim.next(success != 0)).unwrap_or(c_int::MAX)
}

/// Frees the state that [`afl_custom_init`] made. AFL++ calls this function once, before AFL++ exits.
///
/// # Safety
/// As AFL++ calls it: `data` is what [`afl_custom_init`] returned, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn afl_custom_deinit(data: *mut c_void) {
    // SAFETY: by the contract above; the box was made in `afl_custom_init`.
    drop(unsafe { Box::from_raw(data.cast::<State>()) });
}

/// Returns the mutator's state that AFL++ passes as `data`.
///
/// # Safety
/// `data` is what [`afl_custom_init`] returned, and nothing else refers to it.
unsafe fn state<'a>(data: *mut c_void) -> &'a mut State {
    // SAFETY: by the contract above.
    unsafe { &mut *data.cast::<State>() }
}

/// Returns the buffer as a slice; an empty slice if `buf` is null or `size` is 0.
///
/// # Safety
/// `buf` holds `size` bytes, or is null.
unsafe fn bytes<'a>(buf: *const u8, size: usize) -> &'a [u8] {
    if buf.is_null() || size == 0 {
        return &[];
    }
    // SAFETY: by the contract above.
    unsafe { slice::from_raw_parts(buf, size) }
}
