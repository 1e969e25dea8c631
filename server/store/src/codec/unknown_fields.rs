//! Fields that a newer version wrote. Servers of two versions share a store while an upgrade
//! rolls over them, so what this one does not know goes along unread, and is written back as
//! it was: a change by an older server erases nothing.
//!
//! Only fields of the message itself. A field within another message is lost with a rewrite, so
//! new ones are added at the top.

use prost::DecodeError;
use prost::encoding::{DecodeContext, decode_key, skip_field};

/// The highest field that this version knows. Numbers rise and are never given anew.
pub(super) const SPEC: u32 = 19;
pub(super) const STATUS: u32 = 22;

/// The fields above `last`, as they are; none where there are none.
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
