//! Tests of the visitor: it visits every number of a program once, with its place, width and label.

use std::collections::BTreeSet;

use contract::description::Item;
use contract::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE};
use contract::visit::{Field, Notation, NumberKind, Numbers as _, Place, visit, visit_mut};
use contract::{Hypercall, Program, StepKind};
use programs::encoding::{decode_exact, encode};
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::parse;

use super::text::{EVERYTHING, SPARSE};

/// Programs that have every kind of item and step in all its forms.
fn rich() -> [Program; 2] {
    [EVERYTHING, SPARSE].map(|text| parse(text).unwrap_or_else(|error| panic!("{error}")))
}

fn numbers(program: &Program) -> Vec<(Place, u64)> {
    let mut all = Vec::new();
    visit(program, &mut |place, number| all.push((place, number)));
    all
}

/// Sets the number with that index. Returns what the program holds there afterwards.
fn set(program: &mut Program, index: usize, value: u64) -> u64 {
    let mut at = 0;
    visit_mut(program, &mut |_, number| {
        if at == index {
            *number = value;
        }
        at += 1;
    });
    numbers(program)[index].1
}

#[test]
fn every_field_is_visited() {
    let seen: BTreeSet<Field> = rich().iter().flat_map(numbers).map(|(place, _)| place.field).collect();
    let missing: Vec<&Field> = Field::ALL.iter().filter(|field| !seen.contains(field)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_walk_that_changes_nothing_changes_nothing() {
    for program in rich() {
        let mut copy = program.clone();
        let mut seen = Vec::new();
        visit_mut(&mut copy, &mut |place, number| seen.push((place, *number)));
        assert_eq!(copy, program);
        assert_eq!(seen, numbers(&program), "both walks go the same way");
    }
}

/// If any bit of any number changes, the program differs, its text and encoding differ too, and both read back as the
/// changed program.
#[test]
fn a_change_of_any_number_is_seen() {
    let mut changes = 0;
    for program in rich() {
        let (text, bytes, before) = (program.to_string(), encode(&program), numbers(&program));
        for (index, (place, value)) in before.iter().enumerate() {
            for bit in 0..place.bits() {
                let mut other = program.clone();
                let wanted = match place.field {
                    Field::HostShift => 12 ^ 16 ^ value,
                    _ => value ^ 1 << bit,
                };
                let found = set(&mut other, index, wanted);
                let what = || format!("{place:?}: {value:#x} becomes {wanted:#x}\n{other}");
                // A signed number is sign-extended.
                let signed = place.field.notation() == Notation::Signed;
                assert_eq!(found, if signed { wanted as i32 as u64 } else { wanted }, "{}", what());
                assert_ne!(other, program, "{}", what());
                assert_ne!(other.to_string(), text, "{}", what());
                assert_ne!(encode(&other), bytes, "{}", what());
                let differ = before.iter().zip(numbers(&other)).enumerate();
                let differ: Vec<usize> = differ.filter(|(_, (one, two))| one.1 != two.1).map(|(at, _)| at).collect();
                assert_eq!(differ, [index], "{}", what());
                if other.validate().is_ok() {
                    assert_eq!(parse(&other.to_string()).as_ref(), Ok(&other), "{}", what());
                    assert_eq!(decode_exact(&encode(&other)).as_ref(), Ok(&other), "{}", what());
                }
                changes += 1;
            }
        }
    }
    assert!(changes > 7_000, "{changes}");
}

/// The numbers of a text in order, each with its label if it has one.
fn printed(text: &str) -> Vec<(Option<String>, i128)> {
    let number = |digits: &str| match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    let mut found = Vec::new();
    for line in text.lines().skip(2) {
        for word in line.split_whitespace() {
            let (label, value) = match word.split_once('=') {
                Some((label, value)) => (Some(label.to_string()), value),
                None => (None, word.strip_prefix("cpu").unwrap_or(word)),
            };
            // Runs are `at*count` and `value+stride*count`. A label belongs to the first of their numbers.
            let labels = std::iter::once(label).chain(std::iter::repeat(None));
            found.extend(value.split(['*', '+']).zip(labels).filter_map(|(part, label)| Some((label, number(part)?))));
        }
    }
    found
}

/// The text form prints the numbers that the visitor visits, in its order and with its labels, and no others. It leaves
/// out only defaults and numbers that it shows as a word.
#[test]
fn every_number_that_is_printed_is_visited() {
    let generated = (0..300).map(|index| generate(&GeneratorConfig::default(), 61, index));
    for program in rich().into_iter().chain(generated) {
        let text = program.to_string();
        let mut printed = printed(&text).into_iter();
        let mut stride = 0;
        for (place, value) in numbers(&program) {
            if place.field == Field::Stride {
                stride = value;
            }
            let named = Hypercall { opcode: value, args: [0; 4] }.name().is_some();
            let left_out = match place.field {
                Field::MapPages | Field::Blocks => value == 1,
                // After a stride the count is always printed, even if it is 1.
                Field::Words => value == 1 && stride == 0,
                Field::Stride => value == 0,
                Field::Opcode => named,
                field => field.kind() == NumberKind::Flag || field.kind() == NumberKind::Unread && value == 0,
            };
            if left_out {
                continue;
            }
            let signed =
                if place.field.notation() == Notation::Signed { i128::from(value as i64) } else { value.into() };
            let (label, number) = printed.next().unwrap_or_else(|| panic!("{place:?} is not printed\n{text}"));
            assert_eq!(number, signed, "{place:?}\n{text}");
            if let Some(label) = label {
                assert_eq!(label, place.field.label(), "{place:?}\n{text}");
            }
        }
        assert_eq!(printed.next(), None, "it is printed and not visited\n{text}");
        // Flags are printed as words.
        for field in [Field::Writable, Field::Young] {
            let set = numbers(&program).iter().filter(|(place, value)| place.field == field && *value == 1).count();
            assert_eq!(text.split_whitespace().filter(|word| *word == field.label()).count(), set, "{text}");
        }
    }
}

/// Every number of a valid program fits the width of its field, and no width is too large by a bit.
#[test]
fn widths_are_those_of_valid_programs() {
    for index in 0..3_000 {
        for (place, value) in numbers(&generate(&GeneratorConfig::default(), 62, index)) {
            let above = value & u64::MAX.checked_shl(place.bits()).unwrap_or(0);
            let sign = place.field.notation() == Notation::Signed && (value as i64) < 0;
            assert!(above == 0 || sign, "{place:?}: {value:#x} has more than {} bits", place.bits());
        }
    }
    for program in rich() {
        assert_eq!(program.validate(), Ok(()));
        for (index, (place, _)) in numbers(&program).iter().enumerate().filter(|(_, (place, _))| place.bits() < 64) {
            let mut other = program.clone();
            let found = set(&mut other, index, 1 << place.bits());
            let cut = found != 1 << place.bits();
            assert!(cut || other.validate().is_err(), "{place:?}: bit {} is valid too", place.bits());
        }
    }
}

/// The visitor and `Hypercall::fields` name the registers of a call alike.
#[test]
fn the_registers_of_calls_have_the_names_of_the_text_form() {
    for opcode in [H_GET_TCE, H_PUT_TCE, H_STUFF_TCE, H_PUT_TCE_INDIRECT, 0, 0x24] {
        let call = Hypercall { opcode, args: [1, 2, 3, 4] };
        let mut fields = Vec::new();
        call.numbers(&mut |field, number| fields.push((field, number)));
        assert_eq!(fields[0], (Field::Opcode, opcode));
        let values: Vec<u64> = fields[1..].iter().map(|(_, number)| *number).collect();
        assert_eq!(values, [1, 2, 3, 4]);
        let read = fields[1..].iter().filter(|(field, _)| field.kind() != NumberKind::Unread);
        let read: Vec<&str> = read.map(|(field, _)| field.label()).collect();
        assert_eq!(read, call.fields(), "{opcode:#x}");
    }
}

/// A place has the index of the item among the items of its kind, as errors do.
#[test]
fn places_say_which_item_it_is() {
    let program = &rich()[0];
    let hva = |item: Item| {
        let at = Place { item, field: Field::Hva };
        numbers(program).into_iter().find(|(place, _)| *place == at).map(|(_, number)| number)
    };
    assert_eq!(hva(Item::Slot(1)), Some(program.machine.slots[1].hva.0));
    assert_eq!(hva(Item::Mapping(5)), Some(program.machine.mappings[5].hva.0));
    assert_eq!(hva(Item::Mapping(6)), None);
    let migrate = program.steps.iter().position(|step| step.kind() == StepKind::Migrate).expect("a step");
    assert_eq!(hva(Item::Step(migrate)), Some(0x7f00_0000_c000));
}
