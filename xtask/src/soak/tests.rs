use super::*;

#[test]
fn adds_up_the_reports_of_the_soak_tests() {
    let output = "\
test chaos::soak ... soak {\"test\":\"mixed\",\"faults\":{\"kill\":2},\"checked\":{\"jobs\":10},\"recovered_after_ms\":5}
a line of another kind
soak {\"test\":\"mixed\",\"faults\":{\"kill\":1,\"cut\":4},\"checked\":{\"jobs\":20},\"recovered_after_ms\":3}
soak {not JSON}
";
    let report = Report::parse(output).to_json();
    let expected = json!({
        "runs": {"mixed": 2},
        "faults": {"kill": 3, "cut": 4},
        "checked": {"jobs": 30},
        "worst_recovery_ms": 5,
    });
    assert_eq!(report, expected);
}
