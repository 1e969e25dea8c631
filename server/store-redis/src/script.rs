//! Scripts: their text, and calling one by its hash.

use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value};

use crate::link::Link;

/// Parts of scripts, in the order in which they build on each other.
const RECORD: &str = include_str!("lua/record.lua");
const BEGIN: &str = include_str!("lua/begin.lua");
const ROWS: &str = include_str!("lua/rows.lua");
const JOBS: &str = include_str!("lua/jobs.lua");
const INDEX: &str = include_str!("lua/index.lua");
const GROUPS: &str = include_str!("lua/groups.lua");
const CLAIM: &str = include_str!("lua/claim.lua");
const COMMIT: &str = include_str!("lua/commit.lua");
const OPEN: &str = include_str!("lua/open.lua");
const TRIM: &str = include_str!("lua/trim.lua");
const JOURNAL: &str = include_str!("lua/journal.lua");
const EXTEND: &str = include_str!("lua/extend.lua");
const SEEN: &str = include_str!("lua/seen.lua");
const TELL: &str = include_str!("lua/tell.lua");
const REBUILD: &str = include_str!("lua/rebuild.lua");
const DUE_WORK: &str = include_str!("lua/due_work.lua");
const HELD: &str = include_str!("lua/held.lua");
const LEAD: &str = include_str!("lua/lead.lua");

/// Reports pass when memory is short, so scripts that write may run then. New jobs are
/// turned away earlier, by the server.
const WRITES: &str = "#!lua flags=allow-oom\n";
const READS: &str = "#!lua flags=no-writes\n";

/// A script that Redis knows, or will, by its hash.
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

    fn command(&self, by: &str, what: &str, key: &str, args: impl FnOnce(&mut Cmd)) -> Cmd {
        let mut command = redis::cmd(by);
        command.arg(what).arg(1).arg(key);
        args(&mut command);
        command
    }

    /// Runs it. A server that does not know it is sent its text, once.
    pub(crate) async fn call(
        &self,
        link: &mut Link,
        key: &str,
        args: impl Fn(&mut Cmd),
    ) -> RedisResult<Value> {
        let command = self.command("EVALSHA", &self.hash, key, &args);
        match link.query(&command).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let command = self.command("EVAL", &self.text, key, &args);
                link.query(&command).await
            }
            answer => answer,
        }
    }
}

/// All scripts of the store.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    pub(crate) commit: Script,
    pub(crate) open: Script,
    pub(crate) trim: Script,
    pub(crate) journal: Script,
    pub(crate) extend: Script,
    pub(crate) due_work: Script,
    pub(crate) held: Script,
    pub(crate) rebuild: Script,
    pub(crate) lead: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self::from(&|text| text.to_owned())
    }

    /// Changes without a journal: the ledger has them already.
    pub(crate) fn quiet() -> Self {
        Self::from(&|text| text.replace("local IS_QUIET = false", "local IS_QUIET = true"))
    }

    /// Each part as `edit` makes it.
    pub(crate) fn from(edit: &dyn Fn(&str) -> String) -> Self {
        let script = |shebang, parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| edit(part)).collect();
            Script::new(shebang, &parts.iter().map(String::as_str).collect::<Vec<_>>())
        };
        Self {
            commit: script(WRITES, &[RECORD, BEGIN, ROWS, JOBS, INDEX, GROUPS, CLAIM, COMMIT]),
            open: script(WRITES, &[RECORD, OPEN]),
            trim: script(WRITES, &[RECORD, TRIM]),
            journal: script(WRITES, &[RECORD, JOURNAL]),
            extend: script(WRITES, &[RECORD, EXTEND]),
            due_work: script(READS, &[RECORD, SEEN, TELL, DUE_WORK]),
            held: script(READS, &[RECORD, SEEN, TELL, HELD]),
            rebuild: script(WRITES, &[RECORD, REBUILD]),
            lead: script(WRITES, &[RECORD, SEEN, LEAD]),
        }
    }
}

#[cfg(test)]
mod tests;
