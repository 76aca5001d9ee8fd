//! Encodes programs as bytes.

use contract::description::{Backing, Machine, MemoryModel};
use contract::visit::Numbers;
use contract::{Dialect, Program, Pte, Step, WindowSpec};

use super::{
    HEADER_DIALECT, HEADER_MODEL, HEADER_NUMBERS, Key, MAGIC, PINNED, RECORD, VERSION, pte_bits, small, small_in_header,
};

/// Returns the encoding of a valid program: a header and records of [`RECORD`] bytes. [`decode`](super::decode) of the
/// bytes gives the same program.
#[must_use]
pub fn encode(program: &Program) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(program, &mut bytes);
    bytes
}

/// Writes the encoding of a valid program, as [`encode`] returns it, to `bytes`, which is emptied first.
pub fn encode_into(program: &Program, bytes: &mut Vec<u8>) {
    bytes.clear();
    let Program { dialect, machine, steps } = program;
    header(bytes, *dialect, machine);
    // The header has the other numbers of the machine, and the records below have one list of it each.
    let Machine { page_shift: _, struct_page: _, memory, pages, compounds, slots, mappings, ram, windows } = machine;
    if let MemoryModel::SparsememVmemmap { base: _, block_shift: _, list: _, sections, blocks } = memory {
        for section in sections {
            start(bytes, Key::Section);
            put(bytes, 8, &section.to_le_bytes());
        }
        blocks.iter().for_each(|run| record(bytes, Key::Block, 0, run));
    }
    pages.iter().for_each(|page| record(bytes, Key::Page, 0, page));
    compounds.iter().for_each(|compound| record(bytes, Key::Compound, 0, compound));
    slots.iter().for_each(|slot| record(bytes, Key::Slot, 0, slot));
    mappings.iter().for_each(|mapping| record(bytes, Key::Mapping, entry(mapping.pte), mapping));
    ram.iter().for_each(|ram| record(bytes, Key::Ram, 0, ram));
    windows.iter().for_each(|spec| record(bytes, Key::Window, window(spec), spec));
    for step in steps {
        let kind = match step {
            Step::Map { pte, .. } => entry(*pte),
            Step::CreateWindow(spec) => window(spec),
            _ => 0,
        };
        record(bytes, Key::of_step(step), kind, step);
    }
}

/// Returns the bits that give the kind of a page-table entry (present, huge, absent) in the small number of its record.
const fn entry(pte: Pte) -> u32 {
    match pte {
        Pte::Present { .. } => 0,
        Pte::Huge { .. } => pte_bits::HUGE,
        Pte::Absent { .. } | Pte::Hole => pte_bits::ABSENT,
    }
}

/// Returns the bit that says in the small number of a window's record that the window is pinned; 0 for an emulated
/// window.
const fn window(window: &WindowSpec) -> u32 {
    match window.backing {
        Backing::Emulated => 0,
        Backing::Pinned { .. } => PINNED,
    }
}

/// Appends the header: version, dialect, and the parts of the machine that have no record of their own.
fn header(bytes: &mut Vec<u8>, dialect: Dialect, machine: &Machine) {
    let model: u32 = match &machine.memory {
        MemoryModel::Flatmem { .. } => 0,
        MemoryModel::SparsememVmemmap { .. } => 1,
    };
    let dialect = Dialect::ALL.iter().position(|other| *other == dialect).unwrap_or_default();
    bytes.extend_from_slice(&[0; RECORD]);
    put(bytes, 0, &MAGIC);
    put(bytes, MAGIC.len(), &VERSION.to_le_bytes());
    put(bytes, HEADER_DIALECT, &(dialect as u32).to_le_bytes());
    put(bytes, HEADER_MODEL, &model.to_le_bytes());
    let mut next = HEADER_NUMBERS;
    machine.numbers(&mut |field, number| match small_in_header(field) {
        Some((at, _)) => put(bytes, at, &(number as u32).to_le_bytes()),
        None => {
            put(bytes, next, &number.to_le_bytes());
            next += 8;
        }
    });
}

/// Appends a record that has this key and is zero otherwise.
fn start(bytes: &mut Vec<u8>, key: Key) {
    bytes.extend_from_slice(&[0; RECORD]);
    put(bytes, 0, &key.bytes());
}

/// Writes `part` into the last record of `bytes`, from byte `at` of that record on.
fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    let start = bytes.len() - RECORD + at;
    bytes[start..start + part.len()].copy_from_slice(part);
}

/// Appends the record of an item or step with its numbers, and one record for each run of its list. `kind` has the bits
/// of the small number (bytes 4 to 7) that the visitor does not show: the kind of a page-table entry or window.
#[inline]
fn record(bytes: &mut Vec<u8>, key: Key, kind: u32, numbers: &impl Numbers) {
    start(bytes, key);
    put(bytes, 4, &kind.to_le_bytes());
    let (mut key, mut bits, mut next) = (key, kind, 8);
    numbers.numbers(&mut |field, number| {
        if let Some(run) = key.of_run(field) {
            start(bytes, run);
            (key, next) = (run, 8);
        }
        match small(field) {
            Some((low, _)) => {
                bits |= (number as u32) << low;
                put(bytes, 4, &bits.to_le_bytes());
            }
            None => {
                put(bytes, next, &number.to_le_bytes());
                next += 8;
            }
        }
    });
}
