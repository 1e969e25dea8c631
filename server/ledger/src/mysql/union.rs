//! Reads the next parts of many ranges in one statement.
//!
//! A list over several queues starts with a range for each pair of queue and state. Separate
//! statements would need a network round trip each.

use std::collections::VecDeque;

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Integer, Text};
use diesel_async::{AsyncMysqlConnection, RunQueryDsl};
use sentinel_domain::JobId;

use crate::connection::{Candidate, Direction, Source};
use crate::database_error::DatabaseError;
use crate::sql::columns::{decode_id, id_bytes, state_code};

/// The maximum number of ranges in one statement.
pub(super) const RANGES_MAX: usize = 64;

/// A range of the jobs of one queue in one state.
pub(super) struct StateRange<'a> {
    queue: &'a str,
    state: i32,
    low: [u8; 16],
    high: [u8; 16],
    is_ascending: bool,
}

/// Converts the ranges; `None` if one of them is not by state.
pub(super) fn state_ranges<'a>(ranges: &[(&'a Source, Direction)]) -> Option<Vec<StateRange<'a>>> {
    let state_range = |(source, direction): &(&'a Source, Direction)| {
        let source: &'a Source = source;
        let Source::State(queue, state) = source else { return None };
        let (low, high, is_ascending) = match *direction {
            // `after` is exclusive, the lower bound of the statement is inclusive.
            Direction::Ascending { after } => {
                let low = after.map_or(0, |after| after.as_u128().saturating_add(1));
                (JobId::from_u128(low), None, true)
            }
            Direction::Descending { from, below } => {
                (from.unwrap_or(JobId::from_u128(0)), below, false)
            }
        };
        let high = high.unwrap_or(JobId::from_u128(u128::MAX));
        let (low, high) = (id_bytes(low), id_bytes(high));
        Some(StateRange { queue, state: state_code(*state), low, high, is_ascending })
    };
    ranges.iter().map(state_range).collect()
}

/// Reads the first `limit` jobs of each range.
pub(super) async fn read(
    connection: &mut AsyncMysqlConnection,
    ranges: &[StateRange<'_>],
    limit: i64,
) -> Result<Vec<VecDeque<Candidate>>, DatabaseError> {
    let rows: Vec<(i32, Vec<u8>, String)> = Union { ranges, limit }.load(connection).await?;
    let mut found: Vec<VecDeque<Candidate>> = ranges.iter().map(|_| VecDeque::new()).collect();
    for (range, id, kind) in rows {
        let candidate =
            Candidate { id: decode_id(&id)?, queue: None, kind: Some(kind.into()), state: None };
        found[range as usize].push_back(candidate);
    }
    Ok(found)
}

struct Union<'a> {
    ranges: &'a [StateRange<'a>],
    limit: i64,
}

impl Query for Union<'_> {
    type SqlType = (Integer, Binary, Text);
}

impl QueryId for Union<'_> {
    type QueryId = ();
    /// The number of ranges is part of the text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for Union<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        for (n, range) in self.ranges.iter().enumerate() {
            if n > 0 {
                out.push_sql(" UNION ALL ");
            }
            out.push_sql(&format!("(SELECT {n}, `id`, `kind` FROM `jobs` WHERE `queue` = "));
            out.push_bind_param::<Text, _>(range.queue)?;
            out.push_sql(" AND `state` = ");
            out.push_bind_param::<Integer, _>(&range.state)?;
            out.push_sql(" AND `id` >= ");
            out.push_bind_param::<Binary, _>(&range.low)?;
            out.push_sql(" AND `id` < ");
            out.push_bind_param::<Binary, _>(&range.high)?;
            let order = if range.is_ascending { "ASC" } else { "DESC" };
            out.push_sql(&format!(" ORDER BY `id` {order} LIMIT "));
            out.push_bind_param::<BigInt, _>(&self.limit)?;
            out.push_sql(")");
        }
        Ok(())
    }
}
