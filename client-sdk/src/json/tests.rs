//! Values with and without JSON: nothing is lost without an error, and errors name the part.

use std::collections::{BTreeMap, HashMap};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::*;

#[derive(Serialize)]
enum Shape {
    Unit,
    Size(f64),
    Pair(f32, f64),
    Point { x: Option<f64> },
}

#[derive(Serialize)]
struct Order {
    items: Vec<f64>,
    shapes: Vec<Shape>,
}

fn error(value: &impl Serialize) -> String {
    to_vec("result", value).expect_err("the value has no JSON")
}

#[test]
fn each_part_without_json_is_named() {
    let order = |shape| Order { items: vec![1.0], shapes: vec![Shape::Unit, shape] };
    let items = Order { items: vec![1.0, 2.0, 3.0, f64::NAN], shapes: Vec::new() };
    assert_eq!(error(&items), "result.items[3]: NaN is not a JSON number");
    for (shape, path) in [
        (Shape::Size(f64::INFINITY), "result.shapes[1].Size: inf"),
        (Shape::Pair(0.0, f64::NEG_INFINITY), "result.shapes[1].Pair[1]: -inf"),
        (Shape::Pair(f32::NAN, 0.0), "result.shapes[1].Pair[0]: NaN"),
        (Shape::Point { x: Some(f64::NAN) }, "result.shapes[1].Point.x: NaN"),
    ] {
        assert_eq!(error(&order(shape)), format!("{path} is not a JSON number"));
    }
    assert!(error(&f32::NAN).starts_with("result: "));
    assert!(error(&Some(f64::NAN)).starts_with("result: "));
    assert!(error(&HashMap::from([("a", (1, f64::NAN))])).starts_with("result.a[1]: "));
    assert!(error(&BTreeMap::from([(vec![1], 1)])).contains("keys are text or numbers"));
    assert!(error(&BTreeMap::from([(None::<u8>, 1)])).contains("keys are text or numbers"));
    assert!(error(&BTreeMap::from([((1, 2), 1)])).contains("keys are text or numbers"));
    assert!(error(&std::path::Path::new(odd_name())).contains("UTF-8"));
}

fn odd_name() -> &'static std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(&[0xff, b'a'])
}

/// Random values: the check accepts exactly what `serde_json` reads back unchanged.
#[test]
fn accepted_values_are_read_back_unchanged() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..2_000 {
        let floats: Vec<f64> = (0..rng.random_range(0..4)).map(|_| odd_float(&mut rng)).collect();
        let value = BTreeMap::from([(rng.random::<char>(), floats.clone())]);
        match to_vec("payload", &value) {
            Ok(json) => {
                let read: BTreeMap<char, Vec<f64>> = serde_json::from_slice(&json).expect("JSON");
                assert_eq!(read, value);
            }
            Err(text) => assert!(floats.iter().any(|f| !f.is_finite()), "{text}: {value:?}"),
        }
        assert_eq!(to_vec("payload", &value).is_ok(), floats.iter().all(|f| f.is_finite()));
    }
}

fn odd_float(rng: &mut impl RngExt) -> f64 {
    match rng.random_range(0..8) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => f64::MIN_POSITIVE,
        _ => f64::from(rng.random::<i32>()) / 8.0,
    }
}
