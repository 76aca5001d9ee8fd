//! The two controls: the null control is never caught, the canary always.

use contract::StepKind;
use programs::generate::{GeneratorConfig, generate};
use realmode_diff::check::{Field, Kind};
use realmode_diff::{Dialect, Rule, SubjectKind, Tally, Verdict};

/// Whatever is found with a second reference in the subject's place is the harness's own mistake, `REF.CONSERVE` and `REF.LEAK`
/// among it.
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
    // It goes the way that real mode owes: whatever must be deferred is, and the rest is not.
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
        let (index, identity) = found.expect("the canary sings within 2,000 programs");
        assert_eq!(
            (identity.rule, identity.field, identity.kind),
            (Rule::DivergeR4, Field::R4, Kind::Step(StepKind::GetTce)),
            "{index}"
        );
    }
}
