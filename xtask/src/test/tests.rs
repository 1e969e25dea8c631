//! The choice of steps.

use super::*;

#[test]
fn every_step_has_its_own_name() {
    let mut names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), STEPS.len());
}

#[test]
fn chosen_steps_run_in_the_order_of_the_list() {
    let only = ["clippy".to_owned(), "fmt".to_owned()];
    let names: Vec<&str> = choose(&only).unwrap().iter().map(|step| step.name).collect();
    assert_eq!(names, ["fmt", "clippy"]);
}

#[test]
fn an_unknown_step_is_refused_with_the_known_ones() {
    let error = choose(&["uint".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("\"uint\"") && error.contains("unit"), "{error}");
}
