//! Runs the inputs that a fuzz target gets from its engine. The glue for each engine is in `fuzz/`.

use abi::Unusable;
use contract::Program;
use contract::description::Item;
use contract::hcall::MAX_TCES_PER_CALL;
use contract::visit::{Field, visit};

use super::campaign;
use crate::check::feedback::Feedback;
use crate::check::{Checker, Ending, Finding, NotCompared, Observation, Tally, Verdict};
use crate::subjects::SubjectKind;
use crate::voters::Unavailable;
use programs::encoding::{Form, decode, encode, form};
use programs::focus::Focus;
use programs::sequence::Part;

/// Largest [`work`] of a program that a fuzz target runs; a program with more work is rejected.
pub const MAX_WORK: u64 = 1 << 13;

/// The result of running one input of an engine.
#[derive(Debug)]
pub enum EngineRun {
    /// Everything of the program was compared and is equal.
    Agreed,
    /// The program was not compared or only in part. Everything that was compared is equal.
    NotCompared(NotCompared),
    /// The program was not run. Either the program has more work than [`MAX_WORK`], or the input's header names another
    /// version of the encoding, in which the same bytes are another program.
    Rejected,
    /// The input's program, after the focus was applied, shows this finding.
    Finding(Box<Finding>, Box<Program>),
}

/// Runs the inputs of a fuzzing engine, one after the other, on one subject, as a campaign does. Reuses its allocations
/// for the next input.
///
/// After [`STRETCH`] programs, and after a finding, the subject is replaced by a new one. The inputs of the running
/// stretch are kept, so that a finding that a fresh subject does not show can be recorded as a sequence.
pub struct Engine {
    checker: Checker,
    subject: SubjectKind,
    focus: Focus,
    tally: Tally,
    ran: Stretch,
}

/// Number of programs that one subject runs before a new one replaces it, if no program shows a finding: as many as in
/// a [campaign].
pub const STRETCH: usize = campaign::STRETCH as usize;

/// The inputs that the subject has run since it was made.
#[derive(Default)]
struct Stretch {
    /// The bytes of all inputs, one after the other.
    bytes: Vec<u8>,
    /// For each input the index in `bytes` where it ends.
    ends: Vec<usize>,
    /// Whether the last input showed a finding.
    finding: bool,
}

impl Stretch {
    /// Returns whether the subject must be replaced before the next program.
    fn is_over(&self) -> bool {
        self.finding || self.ends.len() == STRETCH
    }

    fn push(&mut self, input: &[u8]) {
        self.bytes.extend_from_slice(input);
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.finding = false;
    }

    /// Returns the inputs, in the order in which they ran.
    fn inputs(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

impl Engine {
    /// Makes an [`Engine`] that runs the parts of programs in `focus` on a new subject of this kind.
    ///
    /// # Errors
    /// Fails where [`SubjectKind::try_checker`] fails: if the subject is a library that cannot be loaded once more.
    pub fn new(focus: Focus, subject: SubjectKind) -> Result<Self, Unusable> {
        Ok(Self { checker: subject.try_checker()?, subject, focus, tally: Tally::default(), ran: Stretch::default() })
    }

    /// Returns the focus: the part of each program that the fuzz target runs.
    #[must_use]
    pub const fn focus(&self) -> Focus {
        self.focus
    }

    /// Returns which kind of subject runs against the reference.
    #[must_use]
    pub const fn subject(&self) -> SubjectKind {
        self.subject
    }

    /// Decodes the bytes to a program, cuts the program to the focus, and checks it, unless the input is rejected.
    /// Calls `reached` with the number of each [combination](crate::check::feedback) as soon as a step reaches it.
    ///
    /// # Errors
    /// Fails if a new subject is due and cannot be made. The input is then not run. The next call tries again.
    pub fn run(&mut self, bytes: &[u8], reached: &mut dyn FnMut(usize)) -> Result<EngineRun, Unavailable> {
        let Some(program) = program(bytes, self.focus).filter(|program| work(program) <= MAX_WORK) else {
            return Ok(EngineRun::Rejected);
        };
        if self.ran.is_over() {
            self.checker.renew().map_err(Unavailable)?;
            self.ran.clear();
        }
        self.ran.push(bytes);
        let feedback = Feedback::new(&program.machine);
        let mut watch = |seen: &Observation<'_>| feedback.of(seen).for_each(&mut *reached);
        Ok(match self.checker.check_into(&program, Ending::Close, &mut self.tally, &mut watch) {
            Verdict::Agreed => EngineRun::Agreed,
            Verdict::NotCompared(not) => EngineRun::NotCompared(not),
            Verdict::Finding(finding) => {
                // The finding is recorded with new subjects, and of some subjects only one can exist at a time.
                self.checker.retire();
                self.ran.finding = true;
                EngineRun::Finding(finding, Box::new(program))
            }
            // A decoded program is always valid.
            Verdict::Invalid(_) => EngineRun::Rejected,
        })
    }

    /// Returns the programs that the subject had run before the last input, in order. After a finding they may be what
    /// it needs to show.
    #[must_use]
    pub fn before(&self) -> Vec<Part> {
        let earlier = self.ran.ends.len().saturating_sub(1);
        let programs = self.ran.inputs().take(earlier).filter_map(|bytes| program(bytes, self.focus));
        programs.map(|program| Part { program, left_open: false }).collect()
    }

    /// Returns the counts of all inputs that were run so far, added up. Rejected inputs are not counted.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// Decodes an engine's bytes to a program, and cuts the program to the focus. `None` if the header of the bytes names
/// another version of the encoding.
fn program(bytes: &[u8], focus: Focus) -> Option<Program> {
    if matches!(form(bytes), Form::Other(_)) {
        return None;
    }
    let mut program = decode(bytes);
    focus.apply(&mut program);
    Some(program)
}

/// Returns roughly how much work a program makes for reference and subject. It adds up the pages that are mapped and
/// the words that are written at boot, a sixteenth of each window's entries, the entries that hypercalls ask for (for
/// each hypercall at most 512, or the entries of the largest window so far if they are more), the words that steps
/// write, the blocks that steps add, and 1 for each other step.
///
/// Fuzz targets reject programs with more work than [`MAX_WORK`]. Engines count another number of rounds of a loop as
/// progress and therefore favour programs that do more and more, and in dialects without a limit of 512 one hypercall
/// can name 65,536 entries. A few such programs would take most of a campaign's time, and shorter programs show the
/// same. `realmode fuzz` and `realmode replay` run programs of any size.
#[must_use]
pub fn work(program: &Program) -> u64 {
    let (mut work, mut largest) = (0u64, 0u64);
    // The number of steps that no number of theirs has weighed, and the last step that one has.
    let (mut others, mut weighed) = (program.steps.len() as u64, None);
    visit(program, &mut |place, number| {
        let in_step = matches!(place.item, Item::Step(_));
        let amount = match place.field {
            Field::Entries => {
                largest = largest.max(number);
                number / 16
            }
            Field::Count => number.min(largest.max(MAX_TCES_PER_CALL)),
            Field::MapPages | Field::Words => number,
            Field::Blocks if in_step => number,
            _ => return,
        };
        if in_step && weighed != Some(place.item) {
            weighed = Some(place.item);
            others -= 1;
        }
        work = work.saturating_add(amount);
    });
    work.saturating_add(others)
}

/// Parses arbitrary bytes as the text of a program; bytes that are not UTF-8 are replaced first. If the parser accepts
/// the text, the program must stay the same when it is printed and parsed again, and when it is encoded and decoded. If
/// the parser refuses the text, the error must name a line of the text or the line after the last one.
///
/// # Panics
/// Panics if one of these checks fails. The engine records the panic as its finding.
pub fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match contract::text::parse(&text) {
        Ok(program) => {
            let printed = program.to_string();
            let again = contract::text::parse(&printed);
            assert_eq!(again.as_ref(), Ok(&program), "printed and parsed again it is another program");
            assert_eq!(again.map(|again| again.to_string()), Ok(printed), "printed twice it is another text");
            assert_eq!(decode(&encode(&program)), program, "encoded and decoded it is another program");
        }
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1 && error.width >= 1, "{error:?}");
            // The parser refuses a file that ends too soon on the line after its last one.
            assert!(error.line <= text.lines().count() + 1, "{error:?}");
            assert!(!error.to_string().is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the work of a program with one window of 1,600 entries at boot and these steps.
    fn of(steps: &str) -> u64 {
        let text = format!(
            "realmode-program 1\ndialect qemu\n\
             machine sparsemem-vmemmap page_shift=12 struct_page=64 base=0xf000000000000000 block_shift=24 \
             list=0x1000000\nsection 0x0\nblock 0x0 at=0x2000000\n\
             map 0x1000 present pfn=0x1 pages=3\nram 0x1000 0x1*5 0x2\n\
             window 0x1 page_shift=12 base=0x0 entries=1600 emulated table=0x1200000\nsteps\n{steps}"
        );
        work(&contract::text::parse(&text).unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn work_is_the_sum_of_what_items_and_steps_ask_for() {
        // Three pages, six words, and a sixteenth of the window.
        let boot = 3 + 6 + 100;
        assert_eq!(of(""), boot);
        for (step, amount) in [
            ("take 0x1", 1),
            ("slot 0 gfn=0x0 pages=900 hva=0x0", 1),
            ("cpu0 hcall=0x4c r7=0x900", 1),
            ("cpu0 H_GET_TCE liobn=0x1 ioba=0x0", 1),
            ("cpu0 H_PUT_TCE liobn=0x1 ioba=0x0 tce=0x0", 1),
            ("cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=0", 0),
            ("cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=700", 700),
            ("cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=99999", 1600),
            ("write 0x1000 0x1 0x2*7", 8),
            ("hot-add 0x1 0x3000000*4 0x9000000", 5),
            ("create-window 0x2 page_shift=12 base=0x0 entries=320 emulated table=0x1300000", 20),
        ] {
            assert_eq!(of(step), boot + amount, "{step}");
            assert_eq!(of(&format!("{step}\ndrop 0x1\n{step}")), boot + 2 * amount + 1, "{step}");
        }
        // A larger window raises the limit of the hypercalls behind it, and of no others.
        let (create, call) = (
            "create-window 0x2 page_shift=12 base=0x0 entries=3200 emulated table=0x1300000",
            "cpu0 H_STUFF_TCE liobn=0x1 ioba=0x0 tce=0x0 count=99999",
        );
        assert_eq!(of(&format!("{call}\n{create}\n{call}")), boot + 1600 + 200 + 3200);
    }
}
