//! Encodings of column values.

use sentinel_domain::{JobId, State};
use sentinel_store::codec::code;

use crate::database_error::DatabaseError;

/// Encodes a job id as big-endian bytes, which sort in the order of the ids.
pub(crate) fn id_bytes(id: JobId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// Decodes a job id.
pub(crate) fn decode_id(bytes: &[u8]) -> Result<JobId, DatabaseError> {
    let bytes = bytes.try_into().map_err(|_| DatabaseError::InvalidJobId(bytes.len()))?;
    Ok(JobId::from_u128(u128::from_be_bytes(bytes)))
}

/// Encodes a job state.
pub(crate) fn state_code(state: State) -> i32 {
    code::from_state(state).cast_signed()
}

/// Decodes a job state.
pub(crate) fn decode_state(state: i32) -> Result<State, DatabaseError> {
    Ok(code::to_state(state.cast_unsigned())?)
}
