//! Fields of a newer version are preserved. During a rolling upgrade, servers of two versions share
//! a store. An older server keeps the fields that it does not know and writes them back.
//!
//! Only fields of the top-level message are preserved, so new fields are added there.

use prost::DecodeError;
use prost::encoding::{DecodeContext, decode_key, skip_field};

/// The highest field numbers that this version knows. A new field gets a higher number.
pub(super) const SPEC: u32 = 19;
pub(super) const STATUS: u32 = 22;

/// Returns the encoded fields with numbers above `last`, if there are any.
pub(super) fn above(last: u32, message: &[u8]) -> Result<Option<Box<[u8]>>, DecodeError> {
    let mut found = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let field = rest;
        let (tag, wire_type) = decode_key(&mut rest)?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
        if tag > last {
            found.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    Ok((!found.is_empty()).then(|| found.into_boxed_slice()))
}
