//! The table of mutation operators, with the weight of each and the reason for it.

use contract::Program;

use super::{guest, memory, sequences, steps, values, windows};
use crate::focus::Focus;
use crate::generate::dice::Dice;

/// What the focus must keep of programs so that an operator is drawn for that focus.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Guest,
    Windows,
    /// The calls of focus `indirect`: H_PUT_TCE_INDIRECT with its lists, and H_STUFF_TCE. Foci `indirect` and `program`
    /// keep them.
    Lists,
}

/// An operator: one way to change a program.
pub(super) struct Operator {
    pub(super) name: &'static str,
    weight: u32,
    needs: Needs,
    /// Whether the operator may leave an invalid program, which [`run`](super::run) then repairs.
    pub(super) repairs: bool,
    /// Changes the program. Returns false if the operator found nothing to change or could not do what was drawn; the
    /// doc comment of each operator says when, and what has changed even so. After true the program may still be the
    /// same, because a drawn value may equal the old one.
    pub(super) run: fn(&mut Program, Focus, &mut Dice<'_>) -> bool,
}

macro_rules! operators {
    ($($name:literal $weight:literal $needs:ident $sound:ident $run:path, $why:literal;)*) => {
        /// All operators, one for each row of the table below this macro: name, weight, needed part, `sound` or
        /// `repaired` (the operator may leave an invalid program), function, and the reason for the weight, which only
        /// a test reads.
        pub(super) const OPERATORS: &[Operator] = &[$(
            // $why is for the reader of the table.
            Operator { name: $name, weight: $weight, needs: Needs::$needs, repairs: operators!(@$sound), run: $run },
        )*];
        #[cfg(test)]
        const WHY: &[&str] = &[$($why),*];
    };
    (@sound) => { false };
    (@repaired) => { true };
}

operators! {
    // Steps: about three in ten.
    "insert step" 90 Nothing sound steps::insert, "the main source of steps of new kinds";
    "drop step" 50 Nothing sound steps::drop_one, "keeps programs short, and removes what a later step needs";
    "drop stretch" 12 Nothing sound steps::drop_stretch, "removes much at once, so rare";
    "repeat" 35 Nothing sound steps::repeat, "the same entry again; reference counts add up";
    "reorder" 40 Nothing sound steps::reorder, "host and guest act in the other order";
    "splice" 30 Nothing sound steps::splice, "old steps on the state that new ones leave";
    // Values: about three in ten.
    "ioba" 40 Windows sound values::ioba, "range checks fail at the edges of windows";
    "count" 35 Lists sound values::count, "the same edges, reached by the count";
    "liobn" 20 Windows sound values::liobn, "entries of two windows can name one page";
    "admit" 55 Windows sound values::admit, "makes up for calls that other operators made invalid";
    "tce" 55 Windows sound values::tce, "what is mapped decides what real mode owes";
    "list" 30 Lists sound values::list, "half of an INDIRECT's input is its list";
    "opcode" 20 Windows sound values::opcode, "the same entries through another call";
    "vcpu" 4 Windows sound values::vcpu, "nothing depends on it yet";
    "pfn" 35 Nothing sound values::pfn, "blocks, splits and compound pages are reached by pfn";
    "hva" 20 Guest sound values::hva, "a host step on another page";
    "detail" 20 Nothing sound values::detail, "kinds of entries, places of blocks, slots";
    "tweak" 20 Nothing sound values::tweak, "what nobody thought of";
    // Sequences of steps: about two in ten.
    "list for call" 30 Lists sound sequences::list_for_call, "a list that no step writes holds only zeros";
    "list and call" 20 Lists sound sequences::list, "a call and a list that fit each other";
    "last reference" 30 Windows sound sequences::last_reference, "rare by chance, and what this harness is about";
    "unmap then release" 30 Windows sound sequences::unmap_then_release, "the same, with a call that exists";
    "take and drop" 15 Guest sound sequences::take_and_drop, "counts at the edges of their range";
    "host meanwhile" 30 Windows sound sequences::host_meanwhile, "the page table between two calls";
    "replug" 10 Nothing sound sequences::replug, "blocks that come back at another place";
    "full call" 15 Lists repaired sequences::full_call, "what real mode owes holds for 512 entries too";
    "window step" 8 Windows sound sequences::window, "rare, because a closed window refuses its calls";
    "created window" 6 Windows sound windows::created, "few windows are created by a step";
    // The machine: about two in ten.
    "section comes" 12 Nothing repaired memory::section_comes, "shared blocks, far sections";
    "section goes" 6 Nothing repaired memory::section_goes, "rare, because it removes what refers to its pages";
    "blocks" 25 Nothing repaired memory::blocks, "blocks adjacent, apart, out of order";
    "struct pages" 10 Nothing repaired memory::struct_pages, "decides which pages are split";
    "memory model" 3 Nothing repaired memory::model, "moves everything";
    "page shift" 3 Nothing repaired memory::page_shift, "moves everything";
    "base" 4 Nothing repaired memory::base, "only two bases matter";
    "slots" 20 Guest repaired guest::slots, "edges of guest memory, aliases";
    "mappings" 35 Guest repaired guest::mappings, "every TCE goes through one";
    "own" 25 Guest repaired guest::own, "decides whether the next drop is the last";
    "compounds" 12 Guest repaired guest::compounds, "pinned calls that name them are deferred";
    "ram" 8 Lists repaired guest::ram, "lists that no step wrote";
    "window comes" 10 Windows repaired windows::comes, "two windows that share pages";
    "window goes" 5 Windows repaired windows::goes, "its calls go to another window";
    "window entries" 15 Windows repaired windows::entries, "the end of the window moves to the calls";
    "window base" 8 Windows repaired windows::base, "the top of the address space";
    "window page" 12 Windows repaired windows::page, "pages smaller or larger than the host's";
    "window backing" 6 Windows repaired windows::backing, "rare, because emulated windows hold no references";
    "window liobn" 3 Windows repaired windows::liobn, "rare, because no rule depends on the number";
    "machine tweak" 12 Nothing repaired guest::tweak, "what nobody thought of";
    "dialect" 2 Windows repaired windows::dialect, "changes all answers; rare, so that corpora stay mostly LoPAPR";
}

impl Operator {
    /// Returns whether programs of this focus have the part that the operator needs.
    fn fits(&self, focus: Focus) -> bool {
        match self.needs {
            Needs::Nothing => true,
            Needs::Guest => focus.has_guest(),
            Needs::Windows => focus.has_windows(),
            Needs::Lists => matches!(focus, Focus::Indirect | Focus::Program),
        }
    }
}

/// Returns the operator with this name; `None` if there is none.
pub(super) fn named(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}

/// Draws one of the operators that fit the focus, with a probability in proportion to its weight.
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
