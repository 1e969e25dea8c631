use diesel::connection::SimpleConnection;

use diesel::{Connection, SqliteConnection};
use sentinel_domain::limits::COUNT_CAP;
use sentinel_domain::{ApiKey, KeyId, Role, Scopes, State};

use crate::connection::complete_now;
use crate::queries::count::count_states;
use crate::queries::identity::put_api_key;
use crate::sql::columns::state_code;
use crate::types::identity::PutKeyResult;

/// The columns that a count reads, of the table that the migrations create.
const TABLE: &str = "CREATE TABLE jobs (id BLOB PRIMARY KEY, queue TEXT, kind TEXT, state INTEGER);
    CREATE INDEX jobs_by_state ON jobs (queue, state, id, kind);";

fn insert(connection: &mut SqliteConnection, from: u64, to: u64) {
    let state = state_code(State::Ready);
    let rows = format!(
        "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to})
         INSERT INTO jobs SELECT CAST(printf('%016d', i) AS BLOB), 'q', 'k', {state} FROM n;"
    );
    connection.batch_execute(&rows).expect("rows");
}

#[test]
fn a_count_stops_at_its_cap() {
    let mut connection = SqliteConnection::establish(":memory:").expect("a database");
    connection.batch_execute(TABLE).expect("a table");
    let mut next = 1;
    for (jobs, counted, is_capped) in [
        (COUNT_CAP - 1, COUNT_CAP - 1, false),
        (COUNT_CAP, COUNT_CAP, false),
        (COUNT_CAP + 1, COUNT_CAP, true),
    ] {
        insert(&mut connection, next, jobs);
        next = jobs + 1;
        let found = complete_now(count_states(&mut connection, vec!["q".into()], &[State::Ready]))
            .map_err(|_| "an error");
        let found = found.expect("counts");
        assert_eq!((found[0].count, found[0].capped), (counted, is_capped));
    }
}

#[test]
fn api_keys_stop_at_their_limit() {
    let mut connection = SqliteConnection::establish(":memory:").expect("a database");
    let tables = include_str!("../../migrations/ledger/00000000000003_identity/up.sql");
    connection.batch_execute(tables).expect("tables");
    let key = |id| ApiKey {
        id: KeyId(id),
        secret_hash: [0; 32],
        name: "n".into(),
        role: Role::Viewer,
        scopes: Scopes::ALL,
        created_at: 1,
        created_by: String::new(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    };
    let max = 3;
    for (id, expected) in [
        (1, PutKeyResult::Added),
        (2, PutKeyResult::Added),
        (3, PutKeyResult::Added),
        (4, PutKeyResult::Full),
    ] {
        let put = complete_now(put_api_key(&mut connection, &key(id), max)).map_err(|_| "an error");
        assert_eq!(put, Ok(expected), "{id}");
    }
}
