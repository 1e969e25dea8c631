//! The Lua scripts, and calls of a script by its hash.

use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value};

use crate::connection::Connection;

/// The parts of scripts, in the order in which they use each other.
const RECORD: &str = include_str!("lua/record.lua");
const BEGIN: &str = include_str!("lua/begin.lua");
const ROWS: &str = include_str!("lua/rows.lua");
const JOBS: &str = include_str!("lua/jobs.lua");
const INDEXES: &str = include_str!("lua/indexes.lua");
const TRANSACTIONS: &str = include_str!("lua/transactions.lua");
const CLAIM: &str = include_str!("lua/claim.lua");
const COMMIT: &str = include_str!("lua/commit.lua");
const OPEN: &str = include_str!("lua/open.lua");
const TRIM_JOBS: &str = include_str!("lua/trim_jobs.lua");
const TRIM_JOURNAL: &str = include_str!("lua/trim_journal.lua");
const EXTEND_SESSIONS: &str = include_str!("lua/extend_sessions.lua");
const CHECK_POSITION: &str = include_str!("lua/check_position.lua");
const APPEND_JOBS: &str = include_str!("lua/append_jobs.lua");
const REBUILD: &str = include_str!("lua/rebuild.lua");
const DUE_WORK: &str = include_str!("lua/due_work.lua");
const SESSION_JOBS: &str = include_str!("lua/session_jobs.lua");
const LEADER: &str = include_str!("lua/leader.lua");

/// Scripts that write may run when memory is short, so that jobs can still finish. The server
/// refuses new jobs earlier.
const WRITES: &str = "#!lua flags=allow-oom\n";
const READS: &str = "#!lua flags=no-writes\n";

/// A script. Redis caches it by its hash.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(shebang: &str, parts: &[&str]) -> Self {
        let text = format!("{shebang}{}", parts.join("\n"));
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    fn command(&self, command: &str, script: &str, key: &str, args: impl FnOnce(&mut Cmd)) -> Cmd {
        let mut command = redis::cmd(command);
        command.arg(script).arg(1).arg(key);
        args(&mut command);
        command
    }

    /// Runs the script. Sends its text if the server does not have it.
    pub(crate) async fn call(
        &self,
        connection: &mut Connection,
        key: &str,
        args: impl Fn(&mut Cmd),
    ) -> RedisResult<Value> {
        let command = self.command("EVALSHA", &self.hash, key, &args);
        match connection.query(&command).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let command = self.command("EVAL", &self.text, key, &args);
                connection.query(&command).await
            }
            reply => reply,
        }
    }
}

/// All scripts.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    pub(crate) commit: Script,
    pub(crate) open: Script,
    pub(crate) trim_jobs: Script,
    pub(crate) trim_journal: Script,
    pub(crate) extend_sessions: Script,
    pub(crate) due_work: Script,
    pub(crate) session_jobs: Script,
    pub(crate) rebuild: Script,
    pub(crate) leader: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self::edited(&|text| text.to_owned())
    }

    /// Returns scripts that write no journal, for changes that the ledger already contains.
    pub(crate) fn without_journal() -> Self {
        Self::edited(&|text| {
            text.replace("local SKIP_JOURNAL = false", "local SKIP_JOURNAL = true")
        })
    }

    /// Returns scripts whose parts are changed by `edit`.
    pub(crate) fn edited(edit: &dyn Fn(&str) -> String) -> Self {
        let script = |shebang, parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| edit(part)).collect();
            Script::new(shebang, &parts.iter().map(String::as_str).collect::<Vec<_>>())
        };
        Self {
            commit: script(
                WRITES,
                &[RECORD, BEGIN, ROWS, JOBS, INDEXES, TRANSACTIONS, CLAIM, COMMIT],
            ),
            open: script(WRITES, &[RECORD, OPEN]),
            trim_jobs: script(WRITES, &[RECORD, TRIM_JOBS]),
            trim_journal: script(WRITES, &[RECORD, TRIM_JOURNAL]),
            extend_sessions: script(WRITES, &[RECORD, EXTEND_SESSIONS]),
            due_work: script(READS, &[RECORD, CHECK_POSITION, APPEND_JOBS, DUE_WORK]),
            session_jobs: script(READS, &[RECORD, CHECK_POSITION, APPEND_JOBS, SESSION_JOBS]),
            rebuild: script(WRITES, &[RECORD, REBUILD]),
            leader: script(WRITES, &[RECORD, CHECK_POSITION, LEADER]),
        }
    }
}

#[cfg(test)]
mod tests;
