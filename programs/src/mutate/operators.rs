//! The table of operators: what each does to a program, how often, and why that often.

use contract::Program;

use super::{guest, memory, sequences, steps, values, windows};
use crate::focus::Focus;
use crate::generate::dice::Dice;

/// What of the program an operator needs there to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Guest,
    Windows,
    /// Windows, and calls that read lists.
    Lists,
}

/// One way to change a program.
pub(super) struct Operator {
    pub(super) name: &'static str,
    weight: u32,
    needs: Needs,
    /// Whether it may leave a description that contradicts itself.
    pub(super) repairs: bool,
    /// Changes the program and answers whether there was something to change.
    pub(super) run: fn(&mut Program, Focus, &mut Dice<'_>) -> bool,
}

macro_rules! operators {
    ($($name:literal $weight:literal $needs:ident $sound:ident $run:path, $why:literal;)*) => {
        /// All operators. The last column says why the weight.
        pub(super) const OPERATORS: &[Operator] = &[$(
            // $why is for the reader.
            Operator { name: $name, weight: $weight, needs: Needs::$needs, repairs: operators!(@$sound), run: $run },
        )*];
        #[cfg(test)]
        const WHY: &[&str] = &[$($why),*];
    };
    (@sound) => { false };
    (@repaired) => { true };
}

operators! {
    // Steps: three in ten.
    "insert step" 90 Nothing sound steps::insert, "the one way in which programs come to do what none did";
    "drop step" 50 Nothing sound steps::drop_one, "keeps programs short; what a later step waits for goes too";
    "drop stretch" 12 Nothing sound steps::drop_stretch, "throws much away";
    "repeat" 35 Nothing sound steps::repeat, "the same entry again, counts that add up";
    "reorder" 40 Nothing sound steps::reorder, "host and guest the other way round";
    "splice" 30 Nothing sound steps::splice, "an old story on what a new one left";
    // Values: three in ten.
    "ioba" 40 Windows sound values::ioba, "edges of windows are where ranges go wrong";
    "count" 35 Lists sound values::count, "as the IOBA's, from the other side";
    "liobn" 20 Windows sound values::liobn, "entries of two windows that name one page";
    "admit" 55 Windows sound values::admit, "makes up for all that the others put outside";
    "tce" 55 Windows sound values::tce, "what is mapped decides what real mode owes";
    "list" 30 Lists sound values::list, "a list is half of an INDIRECT";
    "opcode" 20 Windows sound values::opcode, "the same through another door";
    "vcpu" 4 Windows sound values::vcpu, "nothing hangs on it yet";
    "pfn" 35 Nothing sound values::pfn, "blocks, splits and compound pages are met by pfn";
    "hva" 20 Guest sound values::hva, "the host does to this page what it did to that";
    "detail" 20 Nothing sound values::detail, "kinds of entries, places of blocks, slots";
    "tweak" 20 Nothing sound values::tweak, "what nobody thought of";
    // Sequences: two in ten.
    "list for call" 30 Lists sound sequences::list_for_call, "a list that is not written holds zeros only";
    "list and call" 20 Lists sound sequences::list, "both new";
    "last reference" 30 Windows sound sequences::last_reference, "seldom by chance, and the point of it all";
    "unmap then release" 30 Windows sound sequences::unmap_then_release, "the same with what is there";
    "take and drop" 15 Guest sound sequences::take_and_drop, "counts around the ends";
    "host meanwhile" 30 Windows sound sequences::host_meanwhile, "the page table between two calls";
    "replug" 10 Nothing sound sequences::replug, "blocks that go and come again elsewhere";
    "full call" 15 Lists repaired sequences::full_call, "what real mode owes, it owes for 512 entries too";
    "window step" 8 Windows sound sequences::window, "a closed window silences its calls";
    "created window" 6 Windows sound windows::created, "windows that come later are few";
    // The machine: two in ten.
    "section comes" 12 Nothing repaired memory::section_comes, "shared blocks, far sections";
    "section goes" 6 Nothing repaired memory::section_goes, "takes with it what its pages were for";
    "blocks" 25 Nothing repaired memory::blocks, "adjacent, apart, out of order";
    "struct pages" 10 Nothing repaired memory::struct_pages, "decides which pages are split";
    "memory model" 3 Nothing repaired memory::model, "moves everything";
    "page shift" 3 Nothing repaired memory::page_shift, "moves everything";
    "base" 4 Nothing repaired memory::base, "two places matter";
    "slots" 20 Guest repaired guest::slots, "edges of guest memory, aliases";
    "mappings" 35 Guest repaired guest::mappings, "every TCE goes through one";
    "own" 25 Guest repaired guest::own, "whether the next drop is the last";
    "compounds" 12 Guest repaired guest::compounds, "all on them is deferred";
    "ram" 8 Lists repaired guest::ram, "lists that nobody wrote in the program";
    "window comes" 10 Windows repaired windows::comes, "two windows that share pages";
    "window goes" 5 Windows repaired windows::goes, "its calls find another";
    "window entries" 15 Windows repaired windows::entries, "the end comes to the calls";
    "window base" 8 Windows repaired windows::base, "the top of the address space";
    "window page" 12 Windows repaired windows::page, "pages smaller or larger than the host's";
    "window backing" 6 Windows repaired windows::backing, "emulated windows say little";
    "window liobn" 3 Windows repaired windows::liobn, "names mean little";
    "machine tweak" 12 Nothing repaired guest::tweak, "what nobody thought of";
    "dialect" 2 Windows repaired windows::dialect, "turns the answers over; rare, or no corpus stays LoPAPR's";
}

impl Operator {
    /// Whether it has business with programs of that focus.
    fn fits(&self, focus: Focus) -> bool {
        match self.needs {
            Needs::Nothing => true,
            Needs::Guest => focus.has_guest(),
            Needs::Windows => focus.has_windows(),
            Needs::Lists => matches!(focus, Focus::Indirect | Focus::Program),
        }
    }
}

/// The operator of that name.
pub(super) fn named(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}

/// One of those that have business with programs of that focus.
pub(super) fn draw(focus: Focus, dice: &mut Dice<'_>) -> &'static Operator {
    let weight = |operator: &Operator| if operator.fits(focus) { operator.weight } else { 0 };
    let total: u32 = OPERATORS.iter().map(weight).sum();
    let mut at = dice.below(u64::from(total)) as u32;
    for operator in OPERATORS {
        let weight = weight(operator);
        if at < weight {
            return operator;
        }
        at -= weight;
    }
    &OPERATORS[0]
}

#[cfg(test)]
#[test]
fn every_weight_has_its_reason() {
    assert!(WHY.iter().all(|why| !why.is_empty()));
    let names: std::collections::BTreeSet<_> = OPERATORS.iter().map(|operator| operator.name).collect();
    assert_eq!(names.len(), OPERATORS.len());
}
