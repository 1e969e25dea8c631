//! Files and functions just inside and just outside of each budget.

use super::*;

fn found(text: &str) -> Vec<Problem> {
    check(&Tree::of(&[("a/src/b.rs", text)]))
}

fn function_of(lines: usize) -> String {
    format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
}

#[test]
fn files_are_printed_over_500_and_fail_over_800() {
    assert_eq!(found(&"\n".repeat(500)), []);
    assert!(!found(&"\n".repeat(501))[0].fails);
    assert!(!found(&"\n".repeat(800))[0].fails);
    assert!(found(&"\n".repeat(801))[0].fails);
}

#[test]
fn functions_are_printed_over_70_and_fail_over_100() {
    assert_eq!(found(&function_of(70)), []);
    assert!(!found(&function_of(71))[0].fails);
    assert!(!found(&function_of(100))[0].fails);
    let over = found(&function_of(101));
    assert!(over[0].fails);
    assert_eq!(over[0].place, "a/src/b.rs:1");
}

#[test]
fn counts_parameters_and_neither_self_nor_types() {
    let source = Source::new(
        "a.rs",
        "impl A { fn f<T: B>(&self, a: Vec<(u8, u8)>, (b, c): (u8, u8), d: impl Fn(u8) -> m::R) \
         -> u8 { \"fn not(\" } }\ntrait T { fn declared(a: u8); }\ntype F = fn (u8);",
    );
    let names: Vec<(&str, usize)> =
        functions(&source).iter().map(|function| (function.name, function.parameters)).collect();
    assert_eq!(names, [("f", 3)]);
}

#[test]
fn prints_a_function_that_takes_six() {
    let six = found("fn f(a: A, b: B, c: C, d: D, e: E, f: F) {}");
    assert!(!six[0].fails && six[0].what.contains("6 parameters"), "{six:?}");
    assert_eq!(found("fn f(a: A, b: B, c: C, d: D, e: E) {}"), []);
}

#[test]
fn generated_code_has_no_budget() {
    let long = "\n".repeat(2000);
    assert_eq!(check(&Tree::of(&[("proto/src/gen/a.rs", &long)])), []);
}
