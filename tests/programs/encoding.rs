//! Tests of the binary encoding for fuzzing engines: it inverts exactly, and every byte string decodes to a program.

use std::fmt::Write as _;
use std::path::Path;

use programs::encoding::{Form, KEYS, MAGIC, RECORD, VERSION, decode, decode_exact, encode, form};
use programs::generate::{GeneratorConfig, generate};
use programs::repair::repair;
use programs::store;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use realmode_diff::{Program, Verdict, check};

use super::text::{EVERYTHING, SPARSE};

fn corpus() -> Vec<Program> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora");
    let files = store::programs_under(&folder).expect("the corpora");
    files.iter().map(|file| programs::inputs::read_text(file).expect("a program")).collect()
}

fn inverts(program: &Program) {
    let bytes = encode(program);
    assert_eq!(bytes.len() % RECORD, 0);
    assert_eq!(form(&bytes), Form::Current);
    assert_eq!(decode(&bytes), *program, "\n{program}");
    assert_eq!(decode_exact(&bytes).as_ref(), Ok(program), "\n{program}");
}

#[test]
fn encoding_inverts_exactly() {
    corpus().iter().for_each(inverts);
    (0..20_000).for_each(|index| inverts(&generate(&GeneratorConfig::default(), 7, index)));
}

/// Makes an input as an engine might: a header with random bytes, or an encoding with changed bytes and copied records.
fn hostile(rng: &mut Xoshiro256PlusPlus, index: u64) -> Vec<u8> {
    let mut bytes = if index.is_multiple_of(3) {
        let mut bytes = vec![0; rng.random_range(0..40 * RECORD)];
        rng.fill_bytes(&mut bytes);
        if bytes.len() >= 8 {
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
        }
        return bytes;
    } else {
        encode(&generate(&GeneratorConfig::default(), 3, index))
    };
    for _ in 0..rng.random_range(1..12) {
        let at = rng.random_range(8..bytes.len());
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes[at] = [0, 0xff, 0x7f, 0x80][rng.random_range(0..4)],
            3 => bytes.truncate(at.max(9)),
            _ => {
                let record = at / RECORD * RECORD;
                let copy = bytes[record..(record + RECORD).min(bytes.len())].to_vec();
                bytes.extend(copy);
            }
        }
    }
    bytes
}

#[test]
fn every_byte_string_is_a_sound_program() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    for index in 0..20_000 {
        let bytes = hostile(&mut rng, index);
        let program = decode(&bytes);
        assert_eq!(program.validate(), Ok(()), "input {index}");
        inverts(&program);
        assert_eq!(decode(&bytes), program);
        // Findings of an engine are kept as text, so each program must survive that.
        assert_eq!(realmode_diff::parse(&program.to_string()).as_ref(), Ok(&program), "input {index}\n{program}");
        if index.is_multiple_of(20) {
            match check(&program) {
                Verdict::Agreed => {}
                other => panic!("input {index}: {other:?}\n{program}"),
            }
        }
    }
}

#[test]
fn short_inputs_decode() {
    let bytes = encode(&generate(&GeneratorConfig::default(), 1, 1));
    for length in 0..200 {
        assert_eq!(decode(&bytes[..length]).validate(), Ok(()));
    }
    assert_eq!(form(&[]), Form::Decisions);
}

#[test]
fn repair_leaves_sound_programs_alone() {
    for program in corpus() {
        let mut copy = program.clone();
        repair(&mut copy);
        assert_eq!(copy, program);
    }
}

/// The first lines of a program: a machine with nothing but its memory.
const MACHINE: &str = "\
realmode-program 1
dialect lopapr
machine flatmem page_shift=16 struct_page=64 array=0x8000000 pages=32
";

/// If windows overlap, repair moves one and removes none. Engines copy whole records, so this is frequent.
#[test]
fn what_overlaps_is_moved() {
    let text = format!(
        "{MACHINE}window 0x1 page_shift=16 base=0x0 entries=8 pinned table=0x9000000 hardware=0x9001000\nsteps\n"
    );
    let mut program = realmode_diff::parse(&text).expect("a program");
    let mut copy = program.machine.windows[0];
    copy.liobn.0 = 2;
    program.machine.windows.push(copy);
    assert!(program.validate().is_err());
    repair(&mut program);
    assert_eq!(program.validate(), Ok(()));
    assert_eq!(program.machine.windows.len(), 2, "{program}");
}

/// The order of a huge entry is checked before the size of the entry is computed from it.
#[test]
fn an_order_that_no_page_has_is_refused() {
    let text = format!("{MACHINE}compound 0x10 order=1\nmap 0x20000 huge pfn=0x10 order=1\nsteps\n");
    let program = realmode_diff::parse(&text).expect("a program");
    for wrong in [0, 10, 48, 63, 64, u32::MAX] {
        let mut program = program.clone();
        let contract::Pte::Huge { order, .. } = &mut program.machine.mappings[0].pte else { panic!("{program}") };
        *order = wrong;
        let error = program.validate().expect_err("an order that no page has");
        assert_eq!(error.item, contract::description::Item::Mapping(0), "{error}");
        repair(&mut program);
        assert_eq!(program.validate(), Ok(()));
        assert_eq!((program.machine.compounds.len(), program.machine.mappings.len()), (1, 0), "{program}");
    }
}

/// AFL++ found this: a run of no words was valid, but its text was refused by the parser.
#[test]
fn a_run_of_no_words_is_not_sound() {
    let text = format!("{MACHINE}ram 0x0 0x1 0x2\nsteps\nwrite 0x0 0x1 0x2\n");
    let program = realmode_diff::parse(&text).expect("a program");
    let empty = |run: &mut contract::description::WordRun| run.count = 0;
    let mut ram = program.clone();
    empty(&mut ram.machine.ram[0].words[1]);
    let mut write = program.clone();
    let contract::Step::Write { words, .. } = &mut write.steps[0] else { panic!("{program}") };
    empty(&mut words[0]);
    for (broken, says) in [
        (ram, "ram line 1: a run of words needs at least one"),
        (write, "step line 1: a run of words needs at least one"),
    ] {
        assert_eq!(broken.validate().expect_err("it is not sound").to_string(), says);
        let read = decode(&encode(&broken));
        assert_eq!(realmode_diff::parse(&read.to_string()), Ok(read));
    }
}

#[test]
fn errors_say_where() {
    let good = encode(&generate(&GeneratorConfig::default(), 1, 2));
    let error = |bytes: &[u8]| decode_exact(bytes).expect_err("an error").to_string();
    assert_eq!(error(b"hello"), "byte 0: found no header, expected `RMDP` and the version 1");
    let mut other = good.clone();
    other[4] = 9;
    assert_eq!(form(&other), Form::Other(9));
    assert_eq!(error(&other), "byte 4: found version 9, expected 1");
    assert_eq!(
        error(&good[..good.len() - 1]),
        format!("byte {}: found 47 bytes, expected a record of 48", good.len() - 48)
    );
    let mut key = good.clone();
    key[RECORD..RECORD + 4].copy_from_slice(b"ab\n!");
    assert_eq!(error(&key), "byte 48: found the key `ab\\n!`, which names no kind of record");
    let mut unused = good.clone();
    unused[28] = 1;
    assert_eq!(error(&unused), "byte 28: found 0x01, expected what encoding writes");
    // A run of words behind a step that has no list.
    let text = format!("{MACHINE}steps\ntake 0x1\n");
    let mut stray = encode(&realmode_diff::parse(&text).expect("a program"));
    let end = stray.len();
    stray.extend(b"word");
    stray.resize(end + RECORD, 0);
    let says = format!("byte {end}: found a record that belongs to nothing, expected the end");
    assert_eq!(error(&stray), says);
    // A step that writes the word 0, without the record of that word: decoding adds the word.
    let text = format!("{MACHINE}steps\nwrite 0x0 0x0\n");
    let mut cut = encode(&realmode_diff::parse(&text).expect("a program"));
    let end = cut.len() - RECORD;
    cut.truncate(end);
    let says = format!("byte {end}: found the end, expected another record, such as the words of a write");
    assert_eq!(error(&cut), says);
}

/// A line for each record: its key, its small number, its five numbers.
fn records(bytes: &[u8]) -> String {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    assert!(rest.is_empty());
    let mut text = String::new();
    for record in records {
        let small = u32::from_le_bytes(record[4..8].try_into().expect("four bytes"));
        let numbers = record[8..].as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        let numbers: Vec<String> = numbers.map(|number| format!("{number:#x}")).collect();
        writeln!(text, "{} {small:#x} {}", record[..4].escape_ascii(), numbers.join(" ")).expect("a string");
    }
    text
}

/// Every later version reads the corpora that engines keep, and the inputs of bug reports. So the records of two
/// programs that have every kind of record stay as they were when version 1 of the encoding was fixed.
#[test]
fn records_are_those_of_version_1() {
    let rich = [EVERYTHING, SPARSE].map(|text| realmode_diff::parse(text).expect("a program"));
    let now: String = rich.iter().map(|program| records(&encode(program))).collect();
    let missing: Vec<String> = KEYS
        .iter()
        .map(|(key, _)| key.escape_ascii().to_string())
        .filter(|key| !now.lines().any(|line| line.starts_with(key)))
        .collect();
    assert!(missing.is_empty(), "no record of the kinds {missing:?}");
    assert_eq!(VERSION, 1, "another version has records of its own");
    similar_asserts::assert_eq!(now, include_str!("records.txt"));
}
