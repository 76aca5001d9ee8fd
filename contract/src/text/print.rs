//! Prints programs in the text form.
//!
//! The [visitor](crate::visit) gives the numbers of a line with their order, names and notations. This module writes
//! the words between them.

use core::fmt::{self, Display, Formatter};

use crate::description::{
    AddrRun, Backing, CompoundSpec, Machine, MemoryModel, PageSpec, Pte, SlotSpec, WindowSpec, WordRun,
};
use crate::hcall::Hypercall;
use crate::program::{Program, Step};
use crate::visit::{Field, Notation, Numbers};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", super::HEADER)?;
        writeln!(f, "dialect {}", self.dialect)?;
        write!(f, "{}", self.machine)?;
        writeln!(f, "steps")?;
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

/// Writes `value` in the notation of `field`. For a flag it writes the label of the field, whatever the value: the
/// caller leaves out a flag that is 0.
fn number(f: &mut Formatter<'_>, field: Field, value: u64) -> fmt::Result {
    match field.notation() {
        Notation::Hexadecimal => write!(f, "{value:#x}"),
        Notation::Decimal => write!(f, "{value}"),
        Notation::Signed => write!(f, "{}", value as i64),
        Notation::Word => f.write_str(field.label()),
    }
}

/// Whether the line of an item leaves out the number of this field, because the value is the default or because the
/// line shows the number in another way.
fn is_left_out(field: Field, value: u64) -> bool {
    match field {
        // The opcode stands first in the line, by name or as a number.
        Field::Opcode => true,
        Field::MapPages => value == 1,
        Field::R4 | Field::R5 | Field::R6 | Field::R7 => value == 0,
        _ => field.notation() == Notation::Word && value == 0,
    }
}

/// Writes the numbers of an item, without those that [`is_left_out`] names. If `bare`, the first number has no label;
/// every other number is ` label=value`, and a flag is ` label`. `before` gives the word that stands before the number
/// of a field, with a space in front of the word, or "".
fn line(
    f: &mut Formatter<'_>,
    numbers: &impl Numbers,
    mut bare: bool,
    before: impl Fn(Field) -> &'static str,
) -> fmt::Result {
    let mut result = Ok(());
    let mut write = |field: Field, value| {
        f.write_str(before(field))?;
        if is_left_out(field, value) {
            return Ok(());
        }
        if core::mem::take(&mut bare) {
            return number(f, field, value);
        }
        f.write_str(" ")?;
        if field.notation() != Notation::Word {
            write!(f, "{}=", field.label())?;
        }
        number(f, field, value)
    };
    numbers.numbers(&mut |field, value| {
        if result.is_ok() {
            result = write(field, value);
        }
    });
    result
}

/// Writes the numbers of an item; the first number has no label.
fn bare_line(f: &mut Formatter<'_>, numbers: &impl Numbers) -> fmt::Result {
    line(f, numbers, true, |_| "")
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // The machine line has the other numbers of the machine, and the lines below have one list of it each.
        let Self { page_shift: _, struct_page: _, memory, pages, compounds, slots, mappings, ram, windows } = self;
        let model = match memory {
            MemoryModel::Flatmem { .. } => "flatmem",
            MemoryModel::SparsememVmemmap { .. } => "sparsemem-vmemmap",
        };
        write!(f, "machine {model}")?;
        line(f, self, false, |_| "")?;
        writeln!(f)?;
        match memory {
            MemoryModel::Flatmem { array: _, pages: _ } => {}
            MemoryModel::SparsememVmemmap { base: _, block_shift: _, list: _, sections, blocks } => {
                for group in sections.chunks(16) {
                    write!(f, "section")?;
                    for section in group {
                        write!(f, " {section:#x}")?;
                    }
                    writeln!(f)?;
                }
                for run in blocks {
                    writeln!(f, "block {:#x} at={}", run.first, run.places)?;
                }
            }
        }
        for page in pages {
            writeln!(f, "page {page}")?;
        }
        for compound in compounds {
            writeln!(f, "compound {compound}")?;
        }
        for slot in slots {
            writeln!(f, "slot {slot}")?;
        }
        for mapping in mappings {
            f.write_str("map ")?;
            let before = |field| if field == Field::Pfn { word(mapping.pte) } else { "" };
            line(f, mapping, true, before)?;
            writeln!(f)?;
        }
        for ram in ram {
            write!(f, "ram {}", ram.at)?;
            ram.words.iter().try_for_each(|run| write!(f, " {run}"))?;
            writeln!(f)?;
        }
        for window in windows {
            writeln!(f, "window {window}")?;
        }
        Ok(())
    }
}

impl Display for AddrRun {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "{}", self.at),
            count => write!(f, "{}*{count}", self.at),
        }
    }
}

impl Display for WordRun {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.stride, self.count) {
            (0, 1) => write!(f, "{:#x}", self.value),
            (0, count) => write!(f, "{:#x}*{count}", self.value),
            (stride, count) => write!(f, "{:#x}+{stride:#x}*{count}", self.value),
        }
    }
}

impl Display for PageSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        bare_line(f, self)
    }
}

impl Display for CompoundSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        bare_line(f, self)
    }
}

impl Display for SlotSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        bare_line(f, self)
    }
}

/// The word for the kind of a page-table entry, with a space before it.
const fn word(pte: Pte) -> &'static str {
    match pte {
        Pte::Hole => " hole",
        Pte::Present { .. } => " present",
        Pte::Huge { .. } => " huge",
        Pte::Absent { .. } => " absent",
    }
}

impl Display for Pte {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(word(*self).trim_start())?;
        line(f, self, false, |_| "")
    }
}

impl Display for WindowSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let backing = match self.backing {
            Backing::Emulated => " emulated",
            Backing::Pinned { .. } => " pinned",
        };
        line(f, self, true, |field| if field == Field::Table { backing } else { "" })
    }
}

impl Display for Hypercall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}={:#x}", Field::Opcode.label(), self.opcode)?,
        }
        line(f, self, false, |_| "")
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hypercall { vcpu, call } => write!(f, "cpu{vcpu} {call}"),
            Self::Map { hva, pte } => write!(f, "map {hva} {pte}"),
            Self::CreateWindow(window) => write!(f, "create-window {window}"),
            Self::HotAdd { section, blocks } => {
                write!(f, "hot-add {section:#x}")?;
                blocks.iter().try_for_each(|run| write!(f, " {run}"))
            }
            Self::Write { gpa, words } => {
                write!(f, "write {gpa}")?;
                words.iter().try_for_each(|run| write!(f, " {run}"))
            }
            _ => {
                write!(f, "{} ", self.kind())?;
                bare_line(f, self)
            }
        }
    }
}
