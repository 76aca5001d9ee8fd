//! docs/semantics.md, section 3: conditional references.

mod common;

use common::*;
use contract::description::PageSpec;
use contract::{Dialect, Machine, PageShift, Pfn, ProbeAnswer, Rule, Status, Step};
use reference::{Answer, Object, Page, Reference};

fn idle(counts: &[(u64, i32)]) -> Reference {
    let pages = counts.iter().map(|(pfn, own)| PageSpec { pfn: Pfn(*pfn), own: *own, dirty: false }).collect();
    Reference::new(Dialect::Lopapr, &Machine { pages, ..machine(Dialect::Lopapr) })
}

#[track_caller]
fn probe(model: &mut Reference, step: Step, answer: ProbeAnswer, rule: Rule) {
    let outcome = model.step(&step);
    assert_eq!((outcome.answer, outcome.rule), (Answer::Probe(answer), Some(rule)));
    assert!(outcome.rules.contains(rule));
    conserved(model);
}

#[track_caller]
fn get(model: &mut Reference, pfn: u64, answer: ProbeAnswer, rule: Rule) {
    probe(model, Step::GetPage { pfn: Pfn(pfn) }, answer, rule);
}

#[track_caller]
fn put_page(model: &mut Reference, pfn: u64, answer: ProbeAnswer, rule: Rule) {
    probe(model, Step::PutPage { pfn: Pfn(pfn) }, answer, rule);
}

const YES: ProbeAnswer = ProbeAnswer::Done(true);
const NO: ProbeAnswer = ProbeAnswer::Done(false);

#[test]
fn get_takes_unless_zero_and_wraps() {
    let mut model = idle(&[(500, 0), (501, 1), (502, -1), (503, i32::MAX), (504, i32::MIN)]);
    get(&mut model, 500, NO, Rule::GetZero);
    assert!(model.touched().is_empty());
    get(&mut model, 501, YES, Rule::GetOk);
    assert_eq!(model.touched(), [Object::Page(Pfn(501))]);
    get(&mut model, 502, YES, Rule::GetOk);
    get(&mut model, 503, YES, Rule::GetOk);
    get(&mut model, 504, YES, Rule::GetOk);
    assert_eq!([500, 501, 502, 503, 504].map(|pfn| count(&model, pfn)), [0, 2, 0, i32::MIN, i32::MIN + 1]);
}

#[test]
fn put_gives_unless_one_and_wraps() {
    let mut model = idle(&[(500, 0), (501, 1), (502, 2), (503, i32::MIN)]);
    put_page(&mut model, 500, YES, Rule::PutOk);
    put_page(&mut model, 501, NO, Rule::PutLast);
    put_page(&mut model, 502, YES, Rule::PutOk);
    put_page(&mut model, 503, YES, Rule::PutOk);
    assert_eq!([500, 501, 502, 503].map(|pfn| count(&model, pfn)), [-1, 1, 1, i32::MAX]);
    assert_eq!(model.page(Pfn(503)).own, i32::MAX);
}

#[test]
fn no_page_and_compound_are_left_alone() {
    let mut model = idle(&[]);
    get(&mut model, 4096, ProbeAnswer::NoPage, Rule::PageNone);
    put_page(&mut model, u64::MAX, ProbeAnswer::NoPage, Rule::PageNone);
    get(&mut model, 128, ProbeAnswer::Compound, Rule::PageCompound);
    get(&mut model, 131, ProbeAnswer::Compound, Rule::PageCompound);
    done(&mut model, Step::Take { pfn: Pfn(130) });
    put_page(&mut model, 128, ProbeAnswer::Compound, Rule::PageCompound);
    put_page(&mut model, 131, ProbeAnswer::Compound, Rule::PageCompound);
    assert_eq!(count(&model, 128), 2);
}

#[test]
fn a_split_page_is_none_though_it_exists() {
    let mut machine = sparse(PageShift::Shift12, 56, 12, &[0]);
    machine.pages = vec![PageSpec { pfn: Pfn(73), own: 5, dirty: false }];
    let mut model = Reference::new(Dialect::Lopapr, &machine);
    get(&mut model, 73, ProbeAnswer::NoPage, Rule::PageNone);
    put_page(&mut model, 73, ProbeAnswer::NoPage, Rule::PageNone);
    assert_eq!(count(&model, 73), 5);
}

#[test]
fn put_on_a_named_page_needs_own() {
    let mut model = model(Dialect::Lopapr);
    // pfn 100 is mapped, 116 is named by an absent entry, 128 and 129 are compound, 144 has a huge entry.
    for pfn in [100, 116, 128, 129, 144] {
        skipped(&mut model, Step::PutPage { pfn: Pfn(pfn) });
    }
    call(&mut model, put(PINNED, 0, gpa(1) | 1), Status::SUCCESS, Rule::MapNew);
    done(&mut model, Step::Unmap { hva: hva(1) });
    assert_eq!(count(&model, 101), 1);
    skipped(&mut model, Step::PutPage { pfn: Pfn(101) });
    done(&mut model, Step::Take { pfn: Pfn(101) });
    put_page(&mut model, 101, YES, Rule::PutOk);
    skipped(&mut model, Step::PutPage { pfn: Pfn(101) });
    call(&mut model, put(PINNED, 0, 0), Status::SUCCESS, Rule::Unmap);
    put_page(&mut model, 101, YES, Rule::PutOk);
    assert_eq!(count(&model, 101), -1, "an idle page may go below 0");
}

#[test]
fn get_on_a_named_page_stops_at_the_maximum() {
    let mut model = idle(&[(116, 1 << 30), (500, i32::MAX)]);
    get(&mut model, 116, YES, Rule::GetOk);
    get(&mut model, 500, YES, Rule::GetOk);
    let mut model = idle(&[(116, i32::MAX)]);
    skipped(&mut model, Step::GetPage { pfn: Pfn(116) });
    done(&mut model, Step::Unmap { hva: hva(gfn::ABSENT) });
    get(&mut model, 116, YES, Rule::GetOk);
    assert_eq!(count(&model, 116), i32::MIN);
}

#[test]
fn a_successful_get_is_the_hosts_own() {
    let mut model = model(Dialect::Lopapr);
    get(&mut model, 100, YES, Rule::GetOk);
    assert_eq!(model.page(Pfn(100)), Page { count: 2, own: 1, ..Page::default() });
    put_page(&mut model, 100, YES, Rule::PutOk);
    assert_eq!(model.page(Pfn(100)), Page { count: 1, own: 0, ..Page::default() });
}

#[test]
fn struct_pages_of_absent_sections_can_be_probed() {
    let mut model = Reference::new(Dialect::Lopapr, &sparse(PageShift::Shift12, 64, 24, &[0]));
    get(&mut model, 5000, NO, Rule::GetZero);
    put_page(&mut model, 5000, YES, Rule::PutOk);
    assert_eq!(count(&model, 5000), -1);
    done(&mut model, Step::HotAdd { section: 1, blocks: vec![] });
    assert_eq!(model.touched(), [Object::Page(Pfn(5000))]);
    assert_eq!(model.page(Pfn(5000)), Page::default(), "hot-add zeroes");
}
