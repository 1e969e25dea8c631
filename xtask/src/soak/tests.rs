use super::*;

#[test]
fn what_the_doses_did_is_added_up() {
    let output = "\
test chaos::soak ... dose {\"dose\":\"mixed\",\"faults\":{\"kill\":2},\"checked\":{\"jobs\":10},\"well_after_ms\":5}
a line of another kind
dose {\"dose\":\"mixed\",\"faults\":{\"kill\":1,\"cut\":4},\"checked\":{\"jobs\":20},\"well_after_ms\":3}
dose {not JSON}
";
    let report = Done::parse(output).report();
    let expected = json!({
        "doses": {"mixed": 2},
        "faults": {"kill": 3, "cut": 4},
        "checked": {"jobs": 30},
        "worst_well_after_ms": 5,
    });
    assert_eq!(report, expected);
}
