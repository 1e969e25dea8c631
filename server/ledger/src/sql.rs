//! What the databases have in common: the tables, the questions asked of them, and what can
//! go wrong.

mod fault;
pub(crate) mod identity;
pub(crate) mod kind;
pub(crate) mod query;
pub(crate) mod schema;

pub(crate) use fault::Fault;

use std::collections::VecDeque;

use sentinel_domain::{JobId, State};
use sentinel_store::codec::code;

use crate::rows::Candidate;

/// An id as its column holds it: big-endian, so that bytes sort as ids do.
pub(crate) fn key(id: JobId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// The id of a column.
pub(crate) fn job_id(bytes: &[u8]) -> Result<JobId, Fault> {
    let bytes = bytes.try_into().map_err(|_| Fault::Length(bytes.len()))?;
    Ok(JobId::from_u128(u128::from_be_bytes(bytes)))
}

/// A state as its column holds it.
pub(crate) fn state_code(state: State) -> i32 {
    code::from_state(state).cast_signed()
}

fn to_state(state: i32) -> Result<State, Fault> {
    Ok(code::to_state(state.cast_unsigned())?)
}

fn bare(id: &[u8]) -> Result<Candidate, Fault> {
    Ok(Candidate { id: job_id(id)?, queue: None, kind: None, state: None })
}

/// Rows of [`query::all_falling`] and [`query::state_rising`].
pub(crate) fn of_ids(rows: Vec<Vec<u8>>) -> Result<VecDeque<Candidate>, Fault> {
    rows.into_iter().map(|id| bare(&id)).collect()
}

/// Rows of [`query::state_falling`].
pub(crate) fn of_kinds(rows: Vec<(Vec<u8>, String)>) -> Result<VecDeque<Candidate>, Fault> {
    rows.into_iter()
        .map(|(id, kind)| Ok(Candidate { kind: Some(kind.into()), ..bare(&id)? }))
        .collect()
}

/// Rows of [`query::kind_falling`].
pub(crate) fn of_states(rows: Vec<(Vec<u8>, i32)>) -> Result<VecDeque<Candidate>, Fault> {
    rows.into_iter()
        .map(|(id, state)| Ok(Candidate { state: Some(to_state(state)?), ..bare(&id)? }))
        .collect()
}

/// Rows of [`query::label_falling`].
pub(crate) fn of_all(
    rows: Vec<(Vec<u8>, String, String, i32)>,
) -> Result<VecDeque<Candidate>, Fault> {
    rows.into_iter()
        .map(|(id, queue, kind, state)| {
            Ok(Candidate {
                id: job_id(&id)?,
                queue: Some(queue.into()),
                kind: Some(kind.into()),
                state: Some(to_state(state)?),
            })
        })
        .collect()
}
