//! Tests of the serialised form of the contract's types: those with names are strings, addresses and statuses are
//! numbers.

use std::fmt::Debug;

use contract::{Dialect, Ea, Gfn, Gpa, Hva, Ioba, Liobn, Pfn, ProbeAnswer, RealAddr, Rule, Status, StepKind, Tce};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json, to_value};

/// Checks that `value` is serialised as `form`, and `form` deserialised as `value`.
fn is<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, form: Value) {
    assert_eq!(to_value(&value).expect("JSON"), form, "{value:?}");
    assert_eq!(from_value::<T>(form.clone()).unwrap_or_else(|error| panic!("{form}: {error}")), value);
}

/// Checks that `form` is refused with the error `says`.
fn refuses<T: DeserializeOwned + Debug>(form: Value, says: &str) {
    let error = from_value::<T>(form.clone()).expect_err(&form.to_string()).to_string();
    assert_eq!(error, says);
}

#[test]
fn rules_dialects_and_kinds_of_steps_are_their_names() {
    for &rule in Rule::ALL {
        is(rule, json!(rule.id()));
    }
    for dialect in Dialect::ALL {
        is(dialect, json!(dialect.name()));
    }
    for &kind in StepKind::ALL {
        is(kind, json!(kind.name()));
    }
    refuses::<Rule>(json!("MAP.OLD"), r#"invalid value: string "MAP.OLD", expected the id of a rule, such as MAP.NEW"#);
    refuses::<Rule>(json!(3), "invalid type: integer `3`, expected the id of a rule, such as MAP.NEW");
    refuses::<Dialect>(json!("papr"), r#"invalid value: string "papr", expected a dialect: lopapr, kvm or qemu"#);
    refuses::<StepKind>(
        json!("start"),
        r#"invalid value: string "start", expected a kind of step, such as H_PUT_TCE or hot-add"#,
    );
}

#[test]
fn addresses_and_statuses_are_numbers() {
    is(Pfn(u64::MAX), json!(u64::MAX));
    is((RealAddr(1), Ea(2), Gpa(3), Gfn(4), Hva(5)), json!([1, 2, 3, 4, 5]));
    is((Ioba(6), Liobn(7), Tce(8)), json!([6, 7, 8]));
    is(Status::P4, json!(-57));
    refuses::<Pfn>(json!(-1), "invalid value: integer `-1`, expected u64");
}

#[test]
fn probe_answers_are_words() {
    is(ProbeAnswer::NoPage, json!("no_page"));
    is(ProbeAnswer::Compound, json!("compound"));
    is([true, false].map(ProbeAnswer::Done), json!([{"done": true}, {"done": false}]));
}
