//! Tests of how a program ends: what a subject sees when the harness closes the windows is the same in a check and in a
//! run without one.

use std::cell::RefCell;
use std::sync::atomic::Ordering::SeqCst;

use contract::{Program, RealAddr, Rule};
use machine::Subject as _;
use realmode_diff::Verdict;
use realmode_diff::check::solo::{Plan, Solo};

use super::findings::wrong::{HONEST, Hooks, Wrong, checker};

/// Two windows, the one with the larger LIOBN first.
const TWO_WINDOWS: &str = "realmode-program 1
dialect lopapr
machine flatmem page_shift=12 struct_page=64 array=0x8000000 pages=32
window 0x2 page_shift=12 base=0x0 entries=4 emulated table=0x9000000
window 0x1 page_shift=12 base=0x0 entries=4 emulated table=0x9001000
steps
cpu0 H_STUFF_TCE liobn=0x2 ioba=0x0 tce=0x0 count=4
";

/// A window that a subject closed: its LIOBN, and the rule that a load from the other window's table broke then, `None`
/// if the table was there.
type Close = (u64, Option<Rule>);

thread_local! {
    static CLOSED: RefCell<Vec<Close>> = const { RefCell::new(Vec::new()) };
}

/// Looks, at each close, for the table of the other window, and writes down what it found.
const LOOKS: Hooks = Hooks {
    close_window: |subject, cpu, liobn| {
        subject.close_window(cpu, liobn);
        let other = if liobn.0 == 1 { 0x900_0000 } else { 0x900_1000 };
        let _ = cpu.load(RealAddr(other).ea(), SeqCst);
        CLOSED.with_borrow_mut(|closed| closed.push((liobn.0, cpu.report().event.map(|event| event.rule))));
    },
    ..HONEST
};

/// Returns the closes since the last call.
fn closed() -> Vec<Close> {
    CLOSED.take()
}

fn parsed(text: &str) -> Program {
    realmode_diff::parse(text).expect("a program")
}

/// The host removes the tables of a window before the next window is closed, as it does between two steps.
#[test]
fn the_windows_are_closed_alike_in_a_check_and_without_one() {
    let expected = vec![(1, None), (2, Some(Rule::MemStray))];
    let in_steps = parsed(&format!("{TWO_WINDOWS}close-window 0x1\nclose-window 0x2\n"));
    for program in [in_steps, parsed(TWO_WINDOWS)] {
        let verdict = checker(LOOKS).check(&program);
        assert!(matches!(verdict, Verdict::Finding(_)), "{verdict}");
        assert_eq!(closed(), expected, "in a check: {program}");
        Solo::new(Wrong::new(LOOKS)).run(&Plan::new(program));
        assert_eq!(closed(), expected, "without a check");
    }
}
