//! Tests of the two controls: the null control must never be a finding, and the canary always must.

use contract::StepKind;
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::check::{Field, Kind};
use realmode_diff::{Dialect, Rule, SubjectKind, Tally, Verdict};

/// The null control is a second reference in the subject's place. Any finding is the harness's own mistake,
/// `REF.CONSERVE` and `REF.LEAK` included.
#[test]
fn the_null_control_agrees() {
    let programs = 20_000;
    let mut checker = SubjectKind::Null.checker();
    let mut sum = Tally::default();
    for index in 0..programs {
        let program = generate(&GeneratorConfig::default(), 20, index);
        match checker.check(&program) {
            Verdict::Agreed => sum.add(checker.tally()),
            verdict => panic!("program {index}: {verdict:?}\n{program}"),
        }
    }
    assert_eq!(sum.programs, programs);
    assert!(sum.deferred > 0 && sum.accepted > 0);
    // The null control does what real mode owes: it defers every call that must be deferred, and finishes the others.
    for reason in [Rule::DeferPte, Rule::DeferLookup, Rule::DeferCompound, Rule::DeferLastRef] {
        assert!(sum.rule(reason).deferred > 0, "{reason} was never met");
        assert_eq!(sum.rule(reason).real, 0, "{reason}");
    }
}

#[test]
fn the_canary_is_caught() {
    for dialect in Dialect::ALL {
        let config = GeneratorConfig { dialect: Some(dialect), ..GeneratorConfig::default() };
        let mut checker = SubjectKind::Canary.checker();
        let found = (0..2_000).find_map(|index| {
            let program = generate(&config, 21, index);
            checker.check(&program).finding().map(|finding| (index, finding.identity()))
        });
        let (index, identity) = found.expect("the canary is found within 2,000 programs");
        assert_eq!(
            (identity.rule, identity.field, identity.kind),
            (Rule::DivergeR4, Field::R4, Kind::Step(StepKind::GetTce)),
            "{index}"
        );
    }
}
