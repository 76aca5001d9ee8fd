//! Parses the text form of a program.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{HEADER, Span, TextError};
use crate::addr::{Gfn, Gpa, Hva, Liobn, Pfn, RealAddr};
use crate::description::{
    AddrRun, Backing, BlockRun, CompoundSpec, Item, Machine, Mapping, MemoryModel, PageShift, PageSpec, Pte, RamSpec,
    SlotSpec, WindowSpec, WordRun,
};
use crate::dialect::Dialect;
use crate::hcall::{H_GET_TCE, H_PUT_TCE, H_PUT_TCE_INDIRECT, H_STUFF_TCE, Hypercall};
use crate::program::{Program, Step, StepKind};

/// Longest text that [`parse`] accepts, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

type Parsed<T> = Result<T, TextError>;

const ITEMS: &str = "`section`, `block`, `page`, `compound`, `slot`, `map`, `ram`, `window` or `steps`";
const STEPS: &str = "a step: `cpuN H_...`, `pfn_to_page`, `get_page_unless_zero`, `put_page_unless_one`, `take`, `drop`, `map`, \
                     `unmap`, `age`, `clean`, `write-protect`, `migrate`, `make-compound`, `split-compound`, `hot-add`, \
                     `hot-remove`, `slot`, `write`, `create-window` or `close-window`";

/// Parses the text of a program and validates the program ([`Program::validate`]).
///
/// # Errors
/// The first thing that is wrong, with its place in the text. For a text longer than [`MAX_TEXT_BYTES`] the place is
/// the first character.
pub fn parse(text: &str) -> Parsed<Program> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("found {} bytes, expected a program of at most {MAX_TEXT_BYTES}", text.len());
        return Err(TextError::at(Span { line: 1, column: 1, width: 1 }, message));
    }
    let mut lines = Lines { rest: text.lines().enumerate(), last: 0 };
    let mut line = lines.expect(&format!("the header `{HEADER}`"))?;
    line.keyword("realmode-program", &format!("the header `{HEADER}`"))?;
    let version = line.word("the version, 1")?;
    if version.text != "1" {
        return Err(line.unexpected(version, "version 1 of the text form"));
    }
    line.end()?;

    let mut line = lines.expect("`dialect <lopapr|kvm|qemu>`")?;
    line.keyword("dialect", "`dialect <lopapr|kvm|qemu>`")?;
    let word = line.word("a dialect: lopapr, kvm or qemu")?;
    let Some(dialect) = Dialect::from_name(word.text) else {
        return Err(line.unexpected(word, "a dialect: lopapr, kvm or qemu"));
    };
    line.end()?;

    let mut line = lines.expect("`machine flatmem ...` or `machine sparsemem-vmemmap ...`")?;
    line.keyword("machine", "`machine flatmem ...` or `machine sparsemem-vmemmap ...`")?;
    let mut origins = Origins::new(line.whole());
    let mut machine = machine_line(&mut line)?;
    loop {
        let mut line = lines.expect(ITEMS)?;
        let word = line.word(ITEMS)?;
        if word.text == "steps" {
            line.end()?;
            break;
        }
        item(&mut machine, &mut origins, word, &mut line)?;
    }
    let mut steps = Vec::new();
    while let Some(mut line) = lines.next() {
        origins.steps.push(line.number);
        steps.push(step(&mut line)?);
        line.end()?;
    }
    let program = Program { dialect, machine, steps };
    match program.validate() {
        Ok(()) => Ok(program),
        Err(invalid) => {
            let span = |item| {
                let number = origins.line(item);
                Line::new(number, text.lines().nth(number - 1).unwrap_or_default()).whole()
            };
            let place = span(invalid.item);
            // An error underlines its whole line, so a second item on the same line needs no underline of its own.
            let other = invalid.other.map(span).filter(|other| other.line != place.line);
            Err(TextError { other, ..TextError::at(place, invalid.reason) })
        }
    }
}

/// The number of the line on which each item of the text stands, for errors of validation. The first line is 1.
struct Origins {
    machine: Span,
    sections: Vec<usize>,
    blocks: Vec<usize>,
    pages: Vec<usize>,
    compounds: Vec<usize>,
    slots: Vec<usize>,
    mappings: Vec<usize>,
    ram: Vec<usize>,
    windows: Vec<usize>,
    steps: Vec<usize>,
}

impl Origins {
    const fn new(machine: Span) -> Self {
        Self {
            machine,
            sections: Vec::new(),
            blocks: Vec::new(),
            pages: Vec::new(),
            compounds: Vec::new(),
            slots: Vec::new(),
            mappings: Vec::new(),
            ram: Vec::new(),
            windows: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn line(&self, item: Item) -> usize {
        let (lines, index) = match item {
            Item::Machine => return self.machine.line,
            Item::Section(i) => (&self.sections, i),
            Item::Block(i) => (&self.blocks, i),
            Item::Page(i) => (&self.pages, i),
            Item::Compound(i) => (&self.compounds, i),
            Item::Slot(i) => (&self.slots, i),
            Item::Mapping(i) => (&self.mappings, i),
            Item::Ram(i) => (&self.ram, i),
            Item::Window(i) => (&self.windows, i),
            Item::Step(i) => (&self.steps, i),
        };
        lines.get(index).copied().unwrap_or(self.machine.line)
    }
}

/// The lines of a text that hold more than spaces and a comment.
struct Lines<'t, I: Iterator<Item = (usize, &'t str)>> {
    rest: I,
    last: usize,
}

impl<'t, I: Iterator<Item = (usize, &'t str)>> Lines<'t, I> {
    fn next(&mut self) -> Option<Line<'t>> {
        for (index, text) in self.rest.by_ref() {
            self.last = index + 1;
            let line = Line::new(self.last, text);
            if !line.meaning.trim().is_empty() {
                return Some(line);
            }
        }
        None
    }

    fn expect(&mut self, expected: &str) -> Parsed<Line<'t>> {
        match self.next() {
            Some(line) => Ok(line),
            // The error stands on the line after the last one. Blank lines and comments count as lines.
            None => Err(TextError::at(
                Span { line: self.last + 1, column: 1, width: 1 },
                format!("found the end of the file, expected {expected}"),
            )),
        }
    }
}

/// A word of a line, and its offset in bytes from the start of the line.
#[derive(Clone, Copy)]
struct Word<'t> {
    text: &'t str,
    at: usize,
}

/// A line of a text, which the parser reads word by word.
struct Line<'t> {
    number: usize,
    text: &'t str,
    /// The text of the line before its comment (`#`).
    meaning: &'t str,
    at: usize,
}

impl<'t> Line<'t> {
    fn new(number: usize, text: &'t str) -> Self {
        Self { number, text, meaning: text.split('#').next().unwrap_or_default(), at: 0 }
    }

    fn span(&self, at: usize, width: usize) -> Span {
        let column = self.text.get(..at).unwrap_or(self.text).chars().count() + 1;
        Span { line: self.number, column, width: width.max(1) }
    }

    /// The piece of the line without the comment and without the spaces at both ends.
    fn whole(&self) -> Span {
        let words = self.meaning.trim();
        self.span(self.meaning.len() - self.meaning.trim_start().len(), words.chars().count())
    }

    fn error(&self, at: usize, width: usize, message: String) -> TextError {
        TextError::at(self.span(at, width), message)
    }

    fn unexpected(&self, word: Word<'_>, expected: &str) -> TextError {
        // The text may come from anywhere, and a terminal would obey its control characters.
        let shown: String = word.text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        self.error(word.at, word.text.chars().count(), format!("found `{shown}`, expected {expected}"))
    }

    fn next(&mut self) -> Option<Word<'t>> {
        let rest = &self.meaning[self.at..];
        let skipped = rest.len() - rest.trim_start().len();
        let rest = &rest[skipped..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = Word { text: &rest[..length], at: self.at + skipped };
        self.at = word.at + length;
        Some(word)
    }

    fn word(&mut self, expected: &str) -> Parsed<Word<'t>> {
        self.next().ok_or_else(|| {
            self.error(self.meaning.trim_end().len(), 1, format!("found the end of the line, expected {expected}"))
        })
    }

    fn keyword(&mut self, keyword: &str, expected: &str) -> Parsed<()> {
        let word = self.word(expected)?;
        if word.text == keyword { Ok(()) } else { Err(self.unexpected(word, expected)) }
    }

    fn end(&mut self) -> Parsed<()> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(self.unexpected(word, "the end of the line")),
        }
    }

    fn number(&mut self, what: &str) -> Parsed<u64> {
        let word = self.word(what)?;
        self.to_number(word, what)
    }

    fn to_number(&self, word: Word<'_>, what: &str) -> Parsed<u64> {
        let (digits, radix) = match word.text.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (word.text, 10),
        };
        let plain = digits.replace('_', "");
        // `_` stands between digits, so the parts that it separates are not empty.
        let sound =
            plain.bytes().all(|byte| (byte as char).is_digit(radix)) && digits.split('_').all(|part| !part.is_empty());
        if !sound {
            return Err(self.unexpected(word, what));
        }
        u64::from_str_radix(&plain, radix).map_err(|_| self.unexpected(word, &format!("{what} that fits 64 bits")))
    }

    /// Reads the next word, which must be `key=value`, and returns the value. Any other word, or the end of the line,
    /// is an error.
    fn value(&mut self, key: &str) -> Parsed<Word<'t>> {
        let expected = format!("`{key}=...`");
        let word = self.word(&expected)?;
        match word.text.split_once('=') {
            Some((found, value)) if found == key => Ok(Word { text: value, at: word.at + key.len() + 1 }),
            _ => Err(self.unexpected(word, &expected)),
        }
    }

    fn field(&mut self, key: &str) -> Parsed<u64> {
        let value = self.value(key)?;
        self.to_number(value, &format!("a number for `{key}`"))
    }

    fn field_u32(&mut self, key: &str) -> Parsed<u32> {
        let value = self.value(key)?;
        let number = self.to_number(value, &format!("a number for `{key}`"))?;
        u32::try_from(number).map_err(|_| self.unexpected(value, &format!("a number for `{key}` that fits 32 bits")))
    }

    fn field_i32(&mut self, key: &str) -> Parsed<i32> {
        let value = self.value(key)?;
        let expected = format!("a number for `{key}` that fits 32 bits with its sign");
        let (negative, digits) = match value.text.strip_prefix('-') {
            Some(digits) => (true, Word { text: digits, at: value.at + 1 }),
            None => (false, value),
        };
        let magnitude = i64::try_from(self.to_number(digits, &expected)?).ok();
        let number = magnitude.map(|magnitude| if negative { -magnitude } else { magnitude });
        number.and_then(|number| i32::try_from(number).ok()).ok_or_else(|| self.unexpected(value, &expected))
    }

    /// Parses the word `address` or `address*count`. Without a count the run has 1 block.
    fn run(&self, word: Word<'t>) -> Parsed<AddrRun> {
        let (at, count) = self.times(word, "an address, or address*count")?;
        Ok(AddrRun { at: RealAddr(self.to_number(at, "an address, or address*count")?), count })
    }

    fn times(&self, word: Word<'t>, expected: &str) -> Parsed<(Word<'t>, u64)> {
        match word.text.split_once('*') {
            None => Ok((word, 1)),
            Some((first, count)) => {
                let count = Word { text: count, at: word.at + first.len() + 1 };
                let number = self.to_number(count, expected)?;
                if number == 0 {
                    return Err(self.unexpected(count, "a count of at least 1"));
                }
                Ok((Word { text: first, at: word.at }, number))
            }
        }
    }

    /// Reads the rest of the line as words of memory, at least one: `value`, `value*count` or `value+stride*count`.
    fn words(&mut self) -> Parsed<Vec<WordRun>> {
        const EXPECTED: &str = "a word: value, value*count or value+stride*count";
        let mut runs = Vec::new();
        let mut next = self.word(EXPECTED)?;
        loop {
            let (word, count) = self.times(next, EXPECTED)?;
            let (value, stride) = match word.text.split_once('+') {
                None => (word, 0),
                Some((value, stride)) => {
                    let stride = Word { text: stride, at: word.at + value.len() + 1 };
                    (Word { text: value, at: word.at }, self.to_number(stride, EXPECTED)?)
                }
            };
            runs.push(WordRun { value: self.to_number(value, EXPECTED)?, stride, count });
            match self.next() {
                Some(word) => next = word,
                None => return Ok(runs),
            }
        }
    }
}

fn machine_line(line: &mut Line<'_>) -> Parsed<Machine> {
    let model = line.word("`flatmem` or `sparsemem-vmemmap`")?;
    if !matches!(model.text, "flatmem" | "sparsemem-vmemmap") {
        return Err(line.unexpected(model, "`flatmem` or `sparsemem-vmemmap`"));
    }
    let shift = line.value("page_shift")?;
    let page_shift = match line.to_number(shift, "12 or 16")? {
        12 => PageShift::Shift12,
        16 => PageShift::Shift16,
        _ => return Err(line.unexpected(shift, "12 or 16")),
    };
    let struct_page = line.field("struct_page")?;
    let memory = if model.text == "flatmem" {
        MemoryModel::Flatmem { array: RealAddr(line.field("array")?), pages: line.field("pages")? }
    } else {
        MemoryModel::SparsememVmemmap {
            base: line.field("base")?,
            block_shift: line.field_u32("block_shift")?,
            list: RealAddr(line.field("list")?),
            sections: Vec::new(),
            blocks: Vec::new(),
        }
    };
    line.end()?;
    Ok(Machine::bare(page_shift, struct_page, memory))
}

fn item(machine: &mut Machine, origins: &mut Origins, word: Word<'_>, line: &mut Line<'_>) -> Parsed<()> {
    match word.text {
        "section" | "block" => {
            let MemoryModel::SparsememVmemmap { sections, blocks, .. } = &mut machine.memory else {
                let error = line.unexpected(word, "another item: flatmem has neither sections nor blocks");
                return Err(TextError { other: Some(origins.machine), ..error });
            };
            if word.text == "section" {
                sections.push(line.number("the number of a section")?);
                origins.sections.push(line.number);
                while let Some(word) = line.next() {
                    sections.push(line.to_number(word, "the number of a section")?);
                    origins.sections.push(line.number);
                }
            } else {
                let first = line.number("the number of a block")?;
                let value = line.value("at")?;
                blocks.push(BlockRun { first, places: line.run(value)? });
                origins.blocks.push(line.number);
            }
        }
        "page" => {
            let pfn = Pfn(line.number("a pfn")?);
            let own = line.field_i32("own")?;
            let dirty = match line.next() {
                None => false,
                Some(word) if word.text == "dirty" => true,
                Some(word) => return Err(line.unexpected(word, "`dirty` or the end of the line")),
            };
            machine.pages.push(PageSpec { pfn, own, dirty });
            origins.pages.push(line.number);
        }
        "compound" => {
            machine.compounds.push(compound(line)?);
            origins.compounds.push(line.number);
        }
        "slot" => {
            machine.slots.push(slot(line)?);
            origins.slots.push(line.number);
        }
        "map" => {
            let hva = Hva(line.number("an hva")?);
            let (pte, pages) = pte(line, true)?;
            machine.mappings.push(Mapping { hva, pages, pte });
            origins.mappings.push(line.number);
        }
        "ram" => {
            let at = RealAddr(line.number("a real address")?);
            machine.ram.push(RamSpec { at, words: line.words()? });
            origins.ram.push(line.number);
        }
        "window" => {
            machine.windows.push(window(line)?);
            origins.windows.push(line.number);
        }
        _ => return Err(line.unexpected(word, ITEMS)),
    }
    line.end()
}

fn compound(line: &mut Line<'_>) -> Parsed<CompoundSpec> {
    Ok(CompoundSpec { pfn: Pfn(line.number("a pfn")?), order: line.field_u32("order")? })
}

fn slot(line: &mut Line<'_>) -> Parsed<SlotSpec> {
    let word = line.word("the number of a slot")?;
    let id = line.to_number(word, "the number of a slot")?;
    let id = u32::try_from(id).map_err(|_| line.unexpected(word, "the number of a slot that fits 32 bits"))?;
    let gfn = Gfn(line.field("gfn")?);
    let pages = line.field("pages")?;
    Ok(SlotSpec { id, gfn, pages, hva: Hva(line.field("hva")?) })
}

/// Reads the rest of the line as a page-table entry, which may have `pages=` only if `runs` is true. Returns the entry
/// and the number of entries, 1 without `pages=`.
fn pte(line: &mut Line<'_>, runs: bool) -> Parsed<(Pte, u64)> {
    const KINDS: &str = "`present`, `huge` or `absent`";
    let kind = line.word(KINDS)?;
    if !matches!(kind.text, "present" | "huge" | "absent") {
        return Err(line.unexpected(kind, KINDS));
    }
    let pfn = Pfn(line.field("pfn")?);
    let order = if kind.text == "huge" { line.field_u32("order")? } else { 0 };
    let (mut writable, mut dirty, mut young, mut pages) = (None, None, None, None);
    while let Some(word) = line.next() {
        let flag = match word.text {
            "writable" if kind.text != "absent" => &mut writable,
            "dirty" if kind.text != "absent" => &mut dirty,
            "young" if kind.text != "absent" => &mut young,
            text => match text.strip_prefix("pages=") {
                Some(value) if runs && pages.is_none() => {
                    let value = Word { text: value, at: word.at + "pages=".len() };
                    pages = Some(line.to_number(value, "a number for `pages`")?);
                    continue;
                }
                _ if kind.text == "absent" => return Err(line.unexpected(word, "the end of the line")),
                _ => return Err(line.unexpected(word, "`writable`, `dirty`, `young` or the end of the line")),
            },
        };
        if let Some(first) = flag.replace(word) {
            let other = Some(line.span(first.at, first.text.len()));
            return Err(TextError { other, ..line.unexpected(word, "each flag once") });
        }
    }
    if order > 31 {
        return Err(line.unexpected(kind, "an order of at most 31"));
    }
    let [writable, dirty, young] = [writable, dirty, young].map(|flag| flag.is_some());
    let pte = match kind.text {
        "present" => Pte::Present { pfn, writable, dirty, young },
        "huge" => Pte::Huge { pfn, order, writable, dirty, young },
        _ => Pte::Absent { pfn },
    };
    Ok((pte, pages.unwrap_or(1)))
}

fn window(line: &mut Line<'_>) -> Parsed<WindowSpec> {
    let liobn = Liobn(line.number("a LIOBN")?);
    let page_shift = line.field_u32("page_shift")?;
    let base = line.field("base")?;
    let entries = line.field("entries")?;
    let kind = line.word("`emulated` or `pinned`")?;
    let table = match kind.text {
        "emulated" | "pinned" => RealAddr(line.field("table")?),
        _ => return Err(line.unexpected(kind, "`emulated` or `pinned`")),
    };
    let backing = match kind.text {
        "emulated" => Backing::Emulated,
        _ => Backing::Pinned { hardware: RealAddr(line.field("hardware")?) },
    };
    Ok(WindowSpec { liobn, page_shift, base, entries, table, backing })
}

fn hypercall(vcpu: &str, word: Word<'_>, line: &mut Line<'_>) -> Parsed<Step> {
    let number = Word { text: vcpu, at: word.at + 3 };
    let vcpu = line.to_number(number, "the number of a vCPU")?;
    let vcpu = u8::try_from(vcpu).map_err(|_| line.unexpected(number, "the number of a vCPU, below 8"))?;
    const CALLS: &str = "`H_GET_TCE`, `H_PUT_TCE`, `H_STUFF_TCE`, `H_PUT_TCE_INDIRECT` or `hcall=<opcode>`";
    let name = line.word(CALLS)?;
    let opcode = match name.text {
        "H_GET_TCE" => H_GET_TCE,
        "H_PUT_TCE" => H_PUT_TCE,
        "H_STUFF_TCE" => H_STUFF_TCE,
        "H_PUT_TCE_INDIRECT" => H_PUT_TCE_INDIRECT,
        text => match text.strip_prefix("hcall=") {
            Some(value) => line.to_number(Word { text: value, at: name.at + "hcall=".len() }, "an opcode")?,
            None => return Err(line.unexpected(name, CALLS)),
        },
    };
    let mut call = Hypercall { opcode, args: [0; 4] };
    let fields = call.fields();
    for (index, field) in fields.iter().enumerate() {
        call.args[index] = line.field(field)?;
    }
    let mut next = fields.len();
    while let Some(word) = line.next() {
        let expected = || format!("a register from r{} to r7 as `rN=...`, or the end of the line", next + 4);
        let found = word.text.split_once('=').and_then(|(name, value)| {
            let index = ["r4", "r5", "r6", "r7"].iter().position(|register| *register == name)?;
            (index >= next).then_some((index, value))
        });
        let Some((index, value)) = found else {
            return Err(line.unexpected(word, &expected()));
        };
        call.args[index] = line.to_number(Word { text: value, at: word.at + 3 }, "a number")?;
        next = index + 1;
    }
    Ok(Step::Hypercall { vcpu, call })
}

fn step(line: &mut Line<'_>) -> Parsed<Step> {
    let word = line.word(STEPS)?;
    if let Some(vcpu) = word.text.strip_prefix("cpu") {
        return hypercall(vcpu, word, line);
    }
    let Some(kind) = StepKind::from_name(word.text) else { return Err(line.unexpected(word, STEPS)) };
    Ok(match kind {
        StepKind::Lookup => Step::Lookup { pfn: Pfn(line.number("a pfn")?) },
        StepKind::GetPage => Step::GetPage { pfn: Pfn(line.number("a pfn")?) },
        StepKind::PutPage => Step::PutPage { pfn: Pfn(line.number("a pfn")?) },
        StepKind::Take => Step::Take { pfn: Pfn(line.number("a pfn")?) },
        StepKind::Drop => Step::Drop { pfn: Pfn(line.number("a pfn")?) },
        StepKind::Map => {
            let hva = Hva(line.number("an hva")?);
            Step::Map { hva, pte: pte(line, false)?.0 }
        }
        StepKind::Unmap => Step::Unmap { hva: Hva(line.number("an hva")?) },
        StepKind::Age => Step::Age { hva: Hva(line.number("an hva")?) },
        StepKind::Clean => Step::Clean { hva: Hva(line.number("an hva")?) },
        StepKind::WriteProtect => Step::WriteProtect { hva: Hva(line.number("an hva")?) },
        StepKind::Migrate => Step::Migrate { hva: Hva(line.number("an hva")?), pfn: Pfn(line.field("pfn")?) },
        StepKind::MakeCompound => Step::MakeCompound(compound(line)?),
        StepKind::SplitCompound => Step::SplitCompound { pfn: Pfn(line.number("a pfn")?) },
        StepKind::HotAdd => {
            let section = line.number("the number of a section")?;
            let mut blocks = Vec::new();
            while let Some(word) = line.next() {
                blocks.push(line.run(word)?);
            }
            Step::HotAdd { section, blocks }
        }
        StepKind::HotRemove => Step::HotRemove { section: line.number("the number of a section")? },
        StepKind::Slot => Step::Slot(slot(line)?),
        StepKind::Write => Step::Write { gpa: Gpa(line.number("a gpa")?), words: line.words()? },
        StepKind::CreateWindow => Step::CreateWindow(window(line)?),
        StepKind::CloseWindow => Step::CloseWindow { liobn: Liobn(line.number("a LIOBN")?) },
        // The text of a hypercall starts with its vCPU, so these names are no first words of a line.
        StepKind::GetTce | StepKind::PutTce | StepKind::StuffTce | StepKind::PutTceIndirect | StepKind::UnknownCall => {
            return Err(line.unexpected(word, STEPS));
        }
    })
}
