//! Decodes bytes into programs.

use std::fmt;

use contract::description::{
    AddrRun, Backing, BlockRun, CompoundSpec, MAX_ORDER, MAX_PHYSMEM_BITS, Mapping, MemoryModel, PageSpec, RamSpec,
    SECTION_SIZE_BITS, SlotSpec, WordRun,
};
use contract::program::MAX_VCPUS;
use contract::visit::{Field, Numbers};
use contract::{Dialect, Machine, PageShift, Pfn, Program, Pte, RealAddr, Step, WindowSpec};

use super::{
    HEADER_DIALECT, HEADER_MODEL, HEADER_NUMBERS, KEYS, Key, MAGIC, PINNED, RECORD, VERSION, encode, pte_bits, small,
    small_in_header,
};
use crate::generate;
use crate::repair::repair;

/// What a byte string is, judged by its first eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A packed program: the bytes begin with the header of [`VERSION`].
    Current,
    /// A program packed in another version of the encoding. The number is the version in the header.
    Other(u32),
    /// Decisions of the generator: the bytes do not begin with a header.
    Decisions,
}

/// Returns what the bytes are. Fewer than eight bytes are always decisions of the generator.
#[must_use]
pub fn form(bytes: &[u8]) -> Form {
    match (bytes.get(..4), bytes.get(4..8)) {
        (Some(magic), Some(version)) if magic == MAGIC => match u32_at(version, 0) {
            VERSION => Form::Current,
            other => Form::Other(other),
        },
        _ => Form::Decisions,
    }
}

/// Why bytes are not exactly the encoding of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodingError {
    /// Offset of the first wrong byte, from 0. It is 0 if the bytes decode to an invalid program.
    pub offset: usize,
    /// What [`decode_exact`] found at the offset, and what it expected.
    pub message: String,
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.message)
    }
}

impl std::error::Error for EncodingError {}

/// Decodes the bytes of a program that [`encode`] wrote. Unlike [`decode`] it repairs nothing.
///
/// # Errors
/// The bytes have no header of [`VERSION`], an unknown key or an incomplete record, decode to an invalid program, or
/// differ from what [`encode`] writes for that program. The error has the offset of the first wrong byte.
pub fn decode_exact(bytes: &[u8]) -> Result<Program, EncodingError> {
    let fail = |offset: usize, message: String| Err(EncodingError { offset, message });
    match form(bytes) {
        Form::Decisions => return fail(0, format!("found no header, expected `RMDP` and the version {VERSION}")),
        Form::Other(version) => return fail(4, format!("found version {version}, expected {VERSION}")),
        Form::Current => {}
    }
    let whole = bytes.len() / RECORD * RECORD;
    if whole != bytes.len() || whole == 0 {
        let left = bytes.len() - whole;
        return fail(whole, format!("found {left} bytes, expected a record of {RECORD}"));
    }
    for (index, record) in bytes.chunks_exact(RECORD).enumerate().skip(1) {
        if !KEYS.iter().any(|(key, _)| record.starts_with(key)) {
            let found = record[..4].escape_ascii();
            return fail(index * RECORD, format!("found the key `{found}`, which names no kind of record"));
        }
    }
    let program = read(bytes);
    if let Err(invalid) = program.validate() {
        return fail(0, format!("the program is not sound: {invalid}"));
    }
    let written = encode(&program);
    match written.iter().zip(bytes).position(|(one, other)| one != other) {
        Some(offset) => fail(offset, format!("found {:#04x}, expected what encoding writes", bytes[offset])),
        None if written.len() < bytes.len() => {
            fail(written.len(), "found a record that belongs to nothing, expected the end".into())
        }
        None if written.len() > bytes.len() => {
            fail(bytes.len(), "found the end, expected another record, such as the words of a write".into())
        }
        None => Ok(program),
    }
}

/// Decodes any bytes into some valid program. Bytes that [`encode`] wrote give the encoded program; bytes without a
/// header of [`VERSION`], also those of another version, are decisions of the generator; a program that is invalid is
/// repaired.
#[must_use]
pub fn decode(bytes: &[u8]) -> Program {
    if form(bytes) != Form::Current {
        return generate::decode(bytes);
    }
    let mut program = read(bytes);
    repair(&mut program);
    program
}

/// Decodes the header (missing bytes count as zero) and the complete records after it. The program may be invalid.
fn read(bytes: &[u8]) -> Program {
    let mut header = [0; RECORD];
    let length = bytes.len().min(RECORD);
    header[..length].copy_from_slice(&bytes[..length]);
    let mut reader = Reader { program: read_header(&header) };
    let records = bytes.get(RECORD..).unwrap_or_default().chunks_exact(RECORD);
    reader.make_room(records.clone());
    for record in records {
        reader.record(record);
    }
    reader.finish()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

/// Returns the value if it is one of `choices`, else the choice with index `value` modulo their number.
fn choose(value: u32, choices: &[u32]) -> u32 {
    if choices.contains(&value) { value } else { choices[value as usize % choices.len()] }
}

/// Returns the order of a compound page if it is in 1 ..= [`MAX_ORDER`], else reduces it to that range.
const fn order(value: u32) -> u32 {
    1 + value.wrapping_sub(1) % MAX_ORDER
}

/// Reduces the number of a section to less than 2^22, so that the section lies below 2^46 bytes.
fn section(value: u64) -> u64 {
    value & ((1 << (MAX_PHYSMEM_BITS - SECTION_SIZE_BITS)) - 1)
}

fn read_header(header: &[u8; RECORD]) -> Program {
    let dialect = Dialect::ALL[u32_at(header, HEADER_DIALECT) as usize % Dialect::ALL.len()];
    let memory = if choose(u32_at(header, HEADER_MODEL), &[0, 1]) == 0 {
        MemoryModel::Flatmem { array: RealAddr(0), pages: 0 }
    } else {
        let list = RealAddr(0);
        MemoryModel::SparsememVmemmap { base: 0, block_shift: 0, list, sections: Vec::new(), blocks: Vec::new() }
    };
    let mut machine = Machine::bare(PageShift::Shift12, 0, memory);
    let mut next = HEADER_NUMBERS;
    machine.numbers_mut(&mut |field, number| {
        *number = match small_in_header(field) {
            Some((at, choices)) => choose(u32_at(header, at), choices).into(),
            None => {
                next += 8;
                u64_at(header, next - 8)
            }
        };
    });
    Program { dialect, machine, steps: Vec::new() }
}

/// Returns a page-table entry with all numbers zero and flags off. `small` is the record's small number (its bytes 4
/// to 7): the entry is absent if bit [`ABSENT`](pte_bits::ABSENT) is set, else huge if bit [`HUGE`](pte_bits::HUGE) is
/// set, else present.
const fn blank_entry(small: u32) -> Pte {
    let (pfn, writable, dirty, young) = (Pfn(0), false, false, false);
    if small & pte_bits::ABSENT != 0 {
        Pte::Absent { pfn }
    } else if small & pte_bits::HUGE != 0 {
        Pte::Huge { pfn, order: 0, writable, dirty, young }
    } else {
        Pte::Present { pfn, writable, dirty, young }
    }
}

/// Returns the backing (pinned or emulated) that the small number of a window's record gives; a hardware table is at
/// address 0.
const fn blank_backing(small: u32) -> Backing {
    if small & PINNED != 0 { Backing::Pinned { hardware: RealAddr(0) } } else { Backing::Emulated }
}

/// Returns `blank` with all its numbers replaced by those of the record: small ones from bytes 4 to 7, others from byte
/// 8 on.
#[inline]
fn filled<T: Numbers>(mut blank: T, record: &[u8]) -> T {
    let bits = u32_at(record, 4);
    let mut next = 8;
    blank.numbers_mut(&mut |field, number| {
        *number = match small(field) {
            Some((low, width)) => fitted(field, bits >> low & (u32::MAX >> (32 - width))),
            None => {
                next += 8;
                u64_at(record, next - 8)
            }
        };
    });
    blank
}

/// Returns the value of a field from a record's small number, reduced to the field's range (orders and vCPUs).
const fn fitted(field: Field, value: u32) -> u64 {
    let value = match field {
        Field::Order | Field::HugeOrder => order(value),
        Field::Vcpu => value % MAX_VCPUS as u32,
        _ => value,
    };
    value as u64
}

fn key(record: &[u8]) -> Key {
    Key::of(std::array::from_fn(|index| record[index]))
}

/// Decodes records one after the other; holds the program that they have given so far.
struct Reader {
    program: Program,
}

impl Reader {
    /// Counts the records that most programs have many of (pages, mappings, blocks, steps) and reserves memory for as
    /// many items, so that the vectors need not grow one by one.
    fn make_room<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) {
        let (mut pages, mut mappings, mut blocks, mut steps) = (0, 0, 0, 0);
        for record in records {
            match key(record) {
                Key::Page => pages += 1,
                Key::Mapping => mappings += 1,
                Key::Block => blocks += 1,
                Key::Section | Key::Compound | Key::Slot | Key::Ram | Key::Window | Key::Word | Key::Place => {}
                _ => steps += 1,
            }
        }
        self.program.machine.pages.reserve_exact(pages);
        self.program.machine.mappings.reserve_exact(mappings);
        self.program.steps.reserve_exact(steps);
        if let MemoryModel::SparsememVmemmap { blocks: list, .. } = &mut self.program.machine.memory {
            list.reserve_exact(blocks);
        }
    }

    /// Adds the item or step of one record to the program. Records that fit nowhere are ignored: for example a section
    /// of flatmem, or a run of places without a `hot-add` before it.
    fn record(&mut self, record: &[u8]) {
        let small = u32_at(record, 4);
        let machine = &mut self.program.machine;
        let steps = &mut self.program.steps;
        match key(record) {
            Key::Section => {
                if let MemoryModel::SparsememVmemmap { sections, .. } = &mut machine.memory {
                    sections.push(section(u64_at(record, 8)));
                }
            }
            Key::Block => {
                if let MemoryModel::SparsememVmemmap { blocks, .. } = &mut machine.memory {
                    blocks.push(filled(BlockRun::default(), record));
                }
            }
            Key::Page => machine.pages.push(filled(PageSpec::default(), record)),
            Key::Compound => machine.compounds.push(filled(CompoundSpec::default(), record)),
            Key::Slot => machine.slots.push(filled(SlotSpec::default(), record)),
            Key::Mapping => {
                machine.mappings.push(filled(Mapping { pte: blank_entry(small), ..Mapping::default() }, record));
            }
            Key::Ram => machine.ram.push(filled(RamSpec::default(), record)),
            Key::Window => {
                machine
                    .windows
                    .push(filled(WindowSpec { backing: blank_backing(small), ..WindowSpec::default() }, record));
            }
            Key::Word => self.word(filled(WordRun::default(), record)),
            Key::Place => {
                if let Some(Step::HotAdd { blocks, .. }) = steps.last_mut() {
                    blocks.push(filled(AddrRun::default(), record));
                }
            }
            key => {
                let Some(mut step) = key.blank_step() else { return };
                match &mut step {
                    Step::Map { pte, .. } => *pte = blank_entry(small),
                    Step::CreateWindow(window) => window.backing = blank_backing(small),
                    _ => {}
                }
                steps.push(filled(step, record));
            }
        }
    }

    /// Adds a run of words to the last step if that is a `write`, or, before the first step, to the last `ram` item.
    /// Else the run is ignored.
    fn word(&mut self, run: WordRun) {
        match (self.program.steps.last_mut(), self.program.machine.ram.last_mut()) {
            (Some(Step::Write { words, .. }), _) => words.push(run),
            (None, Some(ram)) => ram.words.push(run),
            _ => {}
        }
    }

    /// Finishes the program: sorts sections and removes equal ones, removes runs with count 0, and gives one word of
    /// value 0 to every `write` and `ram` without words.
    fn finish(self) -> Program {
        let mut program = self.program;
        if let MemoryModel::SparsememVmemmap { sections, .. } = &mut program.machine.memory {
            sections.sort_unstable();
            sections.dedup();
        }
        // Empty runs are invalid, and so is a list of words without runs.
        for ram in &mut program.machine.ram {
            ram.words.retain(|run| run.count > 0);
        }
        for step in &mut program.steps {
            match step {
                Step::Write { words, .. } => words.retain(|run| run.count > 0),
                Step::HotAdd { blocks, .. } => blocks.retain(|run| run.count > 0),
                _ => {}
            }
        }
        let word = WordRun { value: 0, stride: 0, count: 1 };
        for ram in &mut program.machine.ram {
            if ram.words.is_empty() {
                ram.words.push(word);
            }
        }
        for step in &mut program.steps {
            if let Step::Write { words, .. } = step
                && words.is_empty()
            {
                words.push(word);
            }
        }
        program
    }
}
