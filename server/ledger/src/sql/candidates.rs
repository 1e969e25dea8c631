//! Decoding of the rows that index ranges yield.

use std::collections::VecDeque;

use super::columns::{decode_id, decode_state};
use crate::connection::Candidate;
use crate::database_error::DatabaseError;

fn decode_id_only(id: &[u8]) -> Result<Candidate, DatabaseError> {
    Ok(Candidate { id: decode_id(id)?, queue: None, kind: None, state: None })
}

/// Decodes rows of `all_descending` and `state_ascending`.
pub(crate) fn decode_ids(rows: Vec<Vec<u8>>) -> Result<VecDeque<Candidate>, DatabaseError> {
    rows.into_iter().map(|id| decode_id_only(&id)).collect()
}

/// Decodes rows of `state_descending`.
pub(crate) fn decode_ids_and_kinds(
    rows: Vec<(Vec<u8>, String)>,
) -> Result<VecDeque<Candidate>, DatabaseError> {
    rows.into_iter()
        .map(|(id, kind)| Ok(Candidate { kind: Some(kind.into()), ..decode_id_only(&id)? }))
        .collect()
}

/// Decodes rows of `kind_descending`.
pub(crate) fn decode_ids_and_states(
    rows: Vec<(Vec<u8>, i32)>,
) -> Result<VecDeque<Candidate>, DatabaseError> {
    rows.into_iter()
        .map(|(id, state)| {
            Ok(Candidate { state: Some(decode_state(state)?), ..decode_id_only(&id)? })
        })
        .collect()
}

/// Decodes rows of `label_descending`.
pub(crate) fn decode_all_columns(
    rows: Vec<(Vec<u8>, String, String, i32)>,
) -> Result<VecDeque<Candidate>, DatabaseError> {
    rows.into_iter()
        .map(|(id, queue, kind, state)| {
            Ok(Candidate {
                id: decode_id(&id)?,
                queue: Some(queue.into()),
                kind: Some(kind.into()),
                state: Some(decode_state(state)?),
            })
        })
        .collect()
}
