//! Compares the two readings of what dialects answer, the reference's and the candidate's, and the rows of the table of
//! dialects with the reference, the candidate, the programs of `corpora/dialects/` and docs/dialects.md.
//!
//! The readings are printed side by side: `cargo test -p realmode --test corpora "both sides" -- --nocapture`.
//!
//! Each row's program runs in every dialect in which its machine is valid. The marked step must show what the row
//! declares, all other steps must answer alike, and the final states must differ exactly where the row says so. If QEMU
//! is installed, each program also runs on a live QEMU: it must agree with dialect `qemu`, and must differ from the
//! other dialects exactly where the row says so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use contract::dialect::{Field, LiobnWidth, PinnedWindows, WindowBase};
use contract::{Dialect, Hypercall, Pte, RealAddr, Step};
use libtest_mimic::{Failed, Trial};
use programs::{inputs, store};
use realmode_diff::dialects::rows::{AGREED, AGREED_PROGRAM, Duty, ROWS, Row, Seen, ShownBy};
use realmode_diff::voters::ledger::Ledger;
use realmode_diff::voters::{Look, Roster};
use realmode_diff::{Finding, Program, SubjectKind, Verdict, dialects, voters::qemu};
use reference::{Answer, Outcome, Owes, Page, Reference, answers};

/// The comment that marks the step of a row.
const MARK: &str = "# differs";

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        Trial::test("both sides read the dialects alike", readings_agree),
        Trial::test("each row has a program, each program a row", programs_are_rows),
        Trial::test("rows tell dialects apart where a field differs, and nowhere else", fields_have_rows),
        Trial::test("each row declares a difference", rows_differ),
        Trial::test("docs/dialects.md is up to date", document_is_up_to_date),
        Trial::test("a live QEMU can have the machines of dialect qemu", a_qemu_can_have_them),
        Trial::test("all agree where they are said to agree", all_agree),
        Trial::test("the ledger declares what rows say", ledger_follows_rows),
    ];
    tests.extend(ROWS.iter().map(|row| Trial::test(row.name, move || shows(row))));
    match qemu::Config::default().version() {
        Ok(_) => {
            let live = |row: &'static Row| Trial::test(row.name, move || shows_live(row)).with_kind("live");
            tests.extend(ROWS.iter().map(live));
            tests.push(Trial::test("all agree where they are said to agree", all_agree_live).with_kind("live"));
        }
        Err(missing) => eprintln!("the dialects' tests run without a live QEMU: {missing}"),
    }
    tests
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file_of(name: &str) -> PathBuf {
    root().join(dialects::program_of(name))
}

fn ensure(met: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if met { Ok(()) } else { Err(otherwise().into()) }
}

// ---- the two readings --------------------------------------------------------------------------------------------

/// Returns the second reading of a field, beside the reference's: who reads it, and what that reader says.
///
/// Most fields are the candidate's to read. Windows reach it only in descriptions that the contract has validated, so
/// the contract has the second reading of what a window may be. `deferring` has none: it says what the reference lets
/// real mode leave, and the candidate leaves no more than what it must in any dialect.
fn second_reading(dialect: Dialect, field: Field) -> Option<(&'static str, &'static str)> {
    let by_contract = match field {
        Field::PinnedWindows if dialect.has_pinned_windows() => PinnedWindows::Exist.text(),
        Field::PinnedWindows => PinnedWindows::Refuse.text(),
        Field::WindowBase if dialect.aligns_window_bases() => WindowBase::PageMultiple.text(),
        Field::WindowBase => WindowBase::AnyByte.text(),
        Field::LiobnWidth => match dialect.liobn_bits() {
            64 => LiobnWidth::Bits64.text(),
            32 => LiobnWidth::Bits32.text(),
            _ => "another width",
        },
        _ => return candidate::reads(dialect, field).map(|reading| ("candidate", reading)),
    };
    Some(("contract", by_contract))
}

/// The reference's table of answers and the second reading of each field say the same.
fn readings_agree() -> Result<(), Failed> {
    let (mut table, mut differences) = (String::new(), Vec::new());
    for &field in Field::ALL {
        let _ = writeln!(table, "\n{}: {}", field.name(), field.situation());
        for dialect in Dialect::ALL {
            let stated = answers(dialect).text(field);
            let _ = writeln!(table, "  {:6}    reference  {stated}", dialect.name());
            let Some((reader, reading)) = second_reading(dialect, field) else {
                ensure(field == Field::Deferring, || format!("only the reference reads `{}`", field.name()))?;
                continue;
            };
            let differs = stated != reading;
            let _ = writeln!(table, "  {:6}  {} {reader:9}  {reading}", "", if differs { '!' } else { ' ' });
            if differs {
                differences.push(format!("`{}` in dialect {dialect}", field.name()));
            }
        }
    }
    // The harness of these tests knows the option and captures nothing.
    if std::env::args().any(|argument| argument == "--nocapture") {
        println!("{table}");
    }
    ensure(differences.is_empty(), || {
        format!("two readings of docs/semantics.md differ, marked `!` below: {}\n{table}", differences.join(", "))
    })
}

// ---- the tables --------------------------------------------------------------------------------------------------

fn programs_are_rows() -> Result<(), Failed> {
    let files = store::programs_under(&root().join(dialects::FOLDER)).map_err(|error| error.to_string())?;
    let found: BTreeSet<PathBuf> = files.into_iter().collect();
    let names = || ROWS.iter().map(|row| row.name).chain([AGREED_PROGRAM]);
    let expected: BTreeSet<PathBuf> = names().map(file_of).collect();
    ensure(expected.len() == names().count(), || "two rows have one name".into())?;
    let without: Vec<_> = expected.symmetric_difference(&found).collect();
    ensure(without.is_empty(), || format!("a row without a program, or a program without a row: {without:?}"))
}

/// If two dialects differ in a field, a row of that field tells them apart. If they agree, no row of it does.
fn fields_have_rows() -> Result<(), Failed> {
    for &field in Field::ALL {
        let texts = Dialect::ALL.map(|dialect| answers(dialect).text(field));
        let rows = || ROWS.iter().filter(|row| row.field == field);
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let apart: Vec<&str> = rows().filter(|row| tells_apart(row, a, b)).map(|row| row.name).collect();
            let pair = format!("{}: {} and {}", field.name(), Dialect::ALL[a], Dialect::ALL[b]);
            if texts[a] == texts[b] {
                ensure(apart.is_empty(), || format!("{pair} agree, {apart:?} tell them apart"))?;
            } else {
                ensure(!apart.is_empty(), || format!("{pair} differ, and no row tells them apart"))?;
            }
        }
    }
    Ok(())
}

/// Whether a row declares different things for two dialects, given by their positions in `Dialect::ALL`.
fn tells_apart(row: &Row, a: usize, b: usize) -> bool {
    match row.shows {
        ShownBy::Answer(_, seen) => seen[a] != seen[b],
        ShownBy::Duty(_, duties) => duties[a] != duties[b],
        ShownBy::Machine(refused) => refused[a].is_some() != refused[b].is_some(),
    }
}

/// Checks that every row declares a difference. A row without one would pass all other tests.
fn rows_differ() -> Result<(), Failed> {
    let same: Vec<&str> =
        ROWS.iter().filter(|row| !tells_apart(row, 0, 1) && !tells_apart(row, 0, 2)).map(|row| row.name).collect();
    ensure(same.is_empty(), || format!("they declare the same for all: {same:?}"))
}

fn document_is_up_to_date() -> Result<(), Failed> {
    let written = fs::read_to_string(root().join("docs/dialects.md")).map_err(|error| error.to_string())?;
    let differs = written.lines().zip(dialects::document().lines()).position(|(a, b)| a != b);
    ensure(written == dialects::document(), || {
        let line = differs.map_or("the end".into(), |index| format!("line {}", index + 1));
        format!("it differs at {line}: `realmode rules --dialects > docs/dialects.md` renews it")
    })
}

/// Checks that QEMU can have each machine of dialect `qemu`. Its window belongs to a PCI host bridge: it is the first
/// window at any base, or the second window where RTAS puts it. Guest memory ends below 240 MiB, which leaves room for
/// what a live guest needs itself.
fn a_qemu_can_have_them() -> Result<(), Failed> {
    for name in ROWS.iter().map(|row| row.name).chain([AGREED_PROGRAM]) {
        let program = spoken(&load(name)?, Dialect::Qemu);
        if program.validate().is_err() {
            continue;
        }
        for window in &program.machine.windows {
            let bridge = (1..=4).contains(&((window.liobn.0 ^ 0x8000_0000) >> 8));
            let number = window.liobn.0 & 0xff;
            let fits = (number == 0 && window.page_shift == 12) || (number == 1 && window.base == 1 << 59);
            ensure(bridge && fits, || format!("{name}: {window}"))?;
        }
        let end =
            |slot: &contract::description::SlotSpec| (slot.gfn.0 + slot.pages) << program.machine.page_shift.bits();
        ensure(program.machine.slots.iter().all(|slot| end(slot) <= 0xf00_0000), || format!("{name}: guest memory"))?;
    }
    Ok(())
}

/// The reason of a ledger entry begins with the fields that cause it, and in those fields QEMU differs from the
/// reference's dialect.
fn ledger_follows_rows() -> Result<(), Failed> {
    for entry in Ledger::dialects().entries() {
        let [reference, voter] = &entry.between;
        let dialect = reference.strip_prefix("reference/").and_then(Dialect::from_name).ok_or("a dialect")?;
        ensure(voter == "qemu", || format!("{entry}: not about qemu"))?;
        let (fields, _) = entry.reason.split_once(": ").ok_or_else(|| format!("{entry}: no field before a colon"))?;
        for name in fields.split(" and ") {
            let field = Field::ALL.iter().find(|field| field.name() == name);
            let field = *field.ok_or_else(|| format!("{entry}: no field is called {name}"))?;
            let differs = answers(dialect).text(field) != answers(Dialect::Qemu).text(field);
            ensure(differs, || format!("{entry}: {dialect} and qemu have the same {name}"))?;
        }
    }
    Ok(())
}

// ---- the programs ------------------------------------------------------------------------------------------------

/// The state at the end of a program.
#[derive(PartialEq, Debug)]
struct End {
    entries: Vec<(u64, u64)>,
    faulted_in: usize,
    /// State in which no row may show a difference.
    rest: Rest,
}

/// State in which no row may show a difference. The page table and pages are empty if pages were faulted in, because
/// that changes their entries.
#[derive(PartialEq, Debug)]
struct Rest {
    ram: Vec<(RealAddr, u64)>,
    hardware: Vec<(u64, u64)>,
    page_table: Vec<(contract::Hva, Pte)>,
    pages: Vec<(contract::Pfn, Page)>,
}

fn load(name: &str) -> Result<Program, Failed> {
    Ok(inputs::read_text(&file_of(name))?)
}

/// The program in another dialect.
fn spoken(program: &Program, dialect: Dialect) -> Program {
    Program { dialect, ..program.clone() }
}

/// The number of the step that makes `call`. The file must mark this step and no other.
fn marked(name: &str, program: &Program, call: Hypercall) -> Result<usize, Failed> {
    let text = fs::read_to_string(file_of(name)).map_err(|error| error.to_string())?;
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_suffix(MARK)).map(str::trim_end).collect();
    let made = |step: &Step| matches!(step, Step::Hypercall { call: made, .. } if *made == call);
    let steps: Vec<usize> = (0..).zip(&program.steps).filter(|(_, step)| made(step)).map(|(index, _)| index).collect();
    match (steps[..].first(), &lines[..]) {
        (Some(&index), [line]) if steps.len() == 1 && program.steps[index].to_string() == *line => Ok(index),
        _ => {
            Err(format!("`{call}` is to be one step, the only one with the comment `{MARK}`: {steps:?} {lines:?}")
                .into())
        }
    }
}

fn absent(model: &Reference) -> usize {
    model.page_table().filter(|(_, pte)| matches!(pte, Pte::Absent { .. })).count()
}

/// Runs a program on the reference. Returns every step's outcome and the final state.
fn run(program: &Program) -> Result<(Vec<Outcome>, End), Failed> {
    program.validate().map_err(|invalid| format!("dialect {}: {invalid}", program.dialect))?;
    let mut model = Reference::new(program.dialect, &program.machine);
    let before = absent(&model);
    let outcomes = program.steps.iter().map(|step| model.step(step)).collect();
    let windows: Vec<_> = model.windows().collect();
    ensure(windows.len() == 1, || "a row's program has one window".into())?;
    let faulted_in = before - absent(&model);
    let rest = Rest {
        ram: model.ram().collect(),
        hardware: windows[0].hardware_entries().collect(),
        page_table: if faulted_in == 0 { model.page_table().collect() } else { Vec::new() },
        pages: if faulted_in == 0 { model.pages().collect() } else { Vec::new() },
    };
    Ok((outcomes, End { entries: windows[0].guest_entries().collect(), faulted_in, rest }))
}

/// The candidate must agree in every dialect, not only in the one that the file names.
fn candidate_agrees(program: &Program) -> Result<(), Failed> {
    match SubjectKind::Candidate.checker().check(program) {
        Verdict::Agreed => Ok(()),
        verdict => Err(format!("dialect {}: the candidate: {verdict}", program.dialect).into()),
    }
}

fn shows(row: &Row) -> Result<(), Failed> {
    let program = load(row.name)?;
    program.validate().map_err(|invalid| format!("in its own dialect: {invalid}"))?;
    match row.shows {
        ShownBy::Answer(call, seen) => {
            let here = marked(row.name, &program, call)?;
            shows_answers(&program, here, seen)
        }
        ShownBy::Duty(call, duties) => {
            let here = marked(row.name, &program, call)?;
            shows_duties(&program, here, duties)
        }
        ShownBy::Machine(refused) => shows_machines(&program, refused),
    }
}

fn shows_answers(program: &Program, here: usize, expected: [Seen; 3]) -> Result<(), Failed> {
    let mut runs = Vec::new();
    for (dialect, expected) in Dialect::ALL.into_iter().zip(expected) {
        let program = spoken(program, dialect);
        let (outcomes, end) = run(&program)?;
        let Answer::Hypercall { status, r4 } = outcomes[here].answer else { unreachable!("a call was marked") };
        let rule = outcomes[here].rule.ok_or("no rule decided")?;
        // Compares text, because the declared and found entries have different types.
        let found = format!("{status} {r4:x?} by {rule}, entries {:x?}, faulted in {}", end.entries, end.faulted_in);
        let declared = format!(
            "{} {:x?} by {}, entries {:x?}, faulted in {}",
            expected.status, expected.r4, expected.rule, expected.entries, expected.faulted_in
        );
        ensure(found == declared, || {
            format!("dialect {dialect}, step {}\n declared {declared}\n found    {found}", here + 1)
        })?;
        candidate_agrees(&program)?;
        runs.push((dialect, outcomes, end));
    }
    others_agree(program, Some(here), &runs)
}

fn shows_duties(program: &Program, here: usize, expected: [Duty; 3]) -> Result<(), Failed> {
    let mut runs = Vec::new();
    for (dialect, expected) in Dialect::ALL.into_iter().zip(expected) {
        let program = spoken(program, dialect);
        let (outcomes, end) = run(&program)?;
        let found = match outcomes[here].owes {
            Owes::Finish => Duty::Finish,
            Owes::May(_) => Duty::MayDefer,
            Owes::Defer(rule) => return Err(format!("dialect {dialect}: real mode must defer: {rule}").into()),
        };
        ensure(found == expected, || format!("dialect {dialect}: declared {expected:?}, found {found:?}"))?;
        candidate_agrees(&program)?;
        runs.push((dialect, outcomes, end));
    }
    // A duty is not an answer, so all steps must answer alike.
    others_agree(program, None, &runs)?;
    ensure(runs.iter().all(|(.., end)| end.entries == runs[0].2.entries), || "the tables differ".into())
}

fn shows_machines(program: &Program, expected: [Option<&str>; 3]) -> Result<(), Failed> {
    let mut runs = Vec::new();
    for (dialect, expected) in Dialect::ALL.into_iter().zip(expected) {
        let program = spoken(program, dialect);
        match (program.validate(), expected) {
            (Ok(()), None) => {
                let (outcomes, end) = run(&program)?;
                candidate_agrees(&program)?;
                runs.push((dialect, outcomes, end));
            }
            (Err(invalid), Some(reason)) if invalid.reason.contains(reason) => {}
            (found, _) => return Err(format!("dialect {dialect}: declared {expected:?}, found {found:?}").into()),
        }
    }
    others_agree(program, None, &runs)?;
    ensure(runs.iter().all(|(.., end)| end.entries == runs[0].2.entries), || "the tables differ".into())
}

/// All steps except `here` must have the same answer and rule in all dialects, and the state that no row concerns must
/// be the same at the end.
fn others_agree(program: &Program, here: Option<usize>, runs: &[(Dialect, Vec<Outcome>, End)]) -> Result<(), Failed> {
    let [(first, expected, left), others @ ..] = runs else { return Err("no dialect takes the machine".into()) };
    for (dialect, outcomes, end) in others {
        for (index, step) in program.steps.iter().enumerate().filter(|(index, _)| Some(*index) != here) {
            let said = |outcome: &Outcome| format!("{:?} by {:?}", outcome.answer, outcome.rule);
            let (expected, found) = (said(&expected[index]), said(&outcomes[index]));
            ensure(expected == found, || {
                format!("step {}, `{step}`, differs too: {first} {expected}, {dialect} {found}", index + 1)
            })?;
        }
        if end.faulted_in == left.faulted_in {
            ensure(end.rest == left.rest, || {
                format!("{first} left {:#x?}\n{dialect} left {:#x?}", left.rest, end.rest)
            })?;
        }
    }
    Ok(())
}

/// The steps of the program are the calls of the table, in order, and all that a guest can see of them is the same in
/// all dialects.
fn all_agree() -> Result<(), Failed> {
    let program = load(AGREED_PROGRAM)?;
    let calls: Vec<String> = AGREED.iter().map(|row| format!("cpu0 {}", row.call)).collect();
    let steps: Vec<String> = program.steps.iter().map(Step::to_string).collect();
    ensure(calls == steps, || format!("the steps of {AGREED_PROGRAM} are to be\n{}", calls.join("\n")))?;
    let mut runs = Vec::new();
    for dialect in Dialect::ALL {
        let program = spoken(&program, dialect);
        let (outcomes, end) = run(&program)?;
        for (row, outcome) in AGREED.iter().zip(&outcomes) {
            let same = matches!(outcome.answer, Answer::Hypercall { status, .. } if status == row.status);
            ensure(same, || format!("dialect {dialect}: `{}`: {:?}, not {}", row.call, outcome.answer, row.status))?;
        }
        candidate_agrees(&program)?;
        let answers: Vec<Answer> = outcomes.iter().map(|outcome| outcome.answer).collect();
        runs.push((answers, end));
    }
    ensure(runs.iter().all(|run| *run == runs[0]), || format!("they differ: {runs:#x?}"))
}

// ---- a live QEMU -------------------------------------------------------------------------------------------------

/// Runs the program on a live QEMU. Returns the finding, if any, and the number of differences that the ledger
/// declares. QEMU must run the whole program.
fn ask_live(program: &Program, ledger: Ledger) -> Result<(Option<Finding>, u64), Failed> {
    let mut roster = Roster::of(vec![std::sync::Arc::new(qemu::Config::default())]);
    roster.ledger = ledger;
    let mut panel = roster.panel(Look::Whole)?;
    let verdict = panel.check(program)?;
    let voter = panel.take_roll().voters.remove(0);
    ensure(voter.uncovered == 0 && voter.incidents == 0, || format!("not asked to the end: {voter:?}"))?;
    Ok((verdict.into_finding(), voter.declared))
}

fn shows_live(row: &Row) -> Result<(), Failed> {
    let program = load(row.name)?;
    let in_qemu = spoken(&program, Dialect::Qemu);
    let (here, seen) = match row.shows {
        ShownBy::Answer(call, seen) => (marked(row.name, &program, call)?, seen),
        // Only a host can see these differences, or QEMU refuses the machine.
        ShownBy::Duty(..) | ShownBy::Machine(_) if in_qemu.validate().is_ok() => {
            let (finding, _) = ask_live(&in_qemu, Ledger::default())?;
            return ensure(finding.is_none(), || format!("{finding:?}"));
        }
        ShownBy::Duty(..) | ShownBy::Machine(_) => return Ok(()),
    };
    for (dialect, expected) in Dialect::ALL.into_iter().zip(seen) {
        let program = spoken(&program, dialect);
        let (finding, _) = ask_live(&program, Ledger::default())?;
        let live = seen[2];
        let same = (expected.status, expected.r4, expected.entries) == (live.status, live.r4, live.entries);
        let found = finding
            .as_ref()
            .map(|finding| (finding.place.steps_before(&program), finding.expected.clone(), finding.found.clone()));
        match (&found, same) {
            (None, true) => continue,
            (Some((step, expected_status, found_status)), false) if expected.status != live.status => {
                let declared = (here, expected.status.to_string(), live.status.to_string());
                ensure((*step, expected_status, found_status) == (declared.0, &declared.1, &declared.2), || {
                    format!("dialect {dialect}: declared {declared:?}, found {found:?}")
                })?;
            }
            // The statuses are the same but the tables differ. The difference is found where a step reads the tables,
            // or at the end of the program.
            (Some((step, ..)), false) => ensure(*step >= here, || format!("dialect {dialect}: found {found:?}"))?,
            (found, _) => return Err(format!("dialect {dialect}: found {found:?}, declared {seen:?}").into()),
        }
        let (finding, declared) = ask_live(&program, Ledger::dialects())?;
        ensure(finding.is_none() && declared == 1, || format!("dialect {dialect}: not in the ledger: {finding:?}"))?;
    }
    Ok(())
}

fn all_agree_live() -> Result<(), Failed> {
    for dialect in Dialect::ALL {
        let (finding, _) = ask_live(&spoken(&load(AGREED_PROGRAM)?, dialect), Ledger::default())?;
        ensure(finding.is_none(), || format!("dialect {dialect}: {finding:?}"))?;
    }
    Ok(())
}
