//! JSON of payloads and results. `serde_json` writes NaN and the infinities as `null`, which loses
//! data without an error, and its errors do not say which part they are about. So values are checked
//! first.

mod check;

use std::cell::RefCell;

use serde::Serialize;

/// The JSON of a value. `root` is the name of the value in errors.
///
/// # Errors
/// The path of a part that has no JSON, and why: `result.items[3]: NaN is not a JSON number`.
pub(crate) fn to_vec<T: Serialize + ?Sized>(root: &str, value: &T) -> Result<Vec<u8>, String> {
    let path = RefCell::new(root.to_owned());
    let checked = value.serialize(check::Checker { path: &path });
    checked.map_err(|error| format!("{}: {error}", path.borrow()))?;
    serde_json::to_vec(value).map_err(|error| format!("{root}: {error}"))
}

#[cfg(test)]
mod tests;
