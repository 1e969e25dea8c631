//! Carrying a ledger from the files of one server to a database that several share.
//!
//! Table by table, in the order of the primary key, in pages. A page is one transaction, so
//! the last key of a table in the database tells where to go on after a stop.

mod row;

use std::sync::Arc;

use sentinel_domain::Millis;
use sentinel_store::Position;

use crate::ledger::Home;
use crate::mysql::{Server, Session, arrival, within};
use crate::rows::Answer;
use crate::sqlite::Database;
use crate::{Ledger, LedgerError};
use row::Carried;

/// A move of one ledger into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Where the journal of the source ended: tells one source, and one state of it, from
    /// another.
    pub source: Position,
    /// Its directory, for people.
    pub directory: String,
    pub step: ImportStep,
    /// How many rows are there.
    pub rows: u64,
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportStep {
    /// Rows are copied.
    CopyRows,
    /// All rows are there, and the hot store is filled from them.
    FillStore,
    /// Servers work on it.
    Done,
}

/// Runs a piece of work in a transaction, again where another one was in the way.
macro_rules! turn {
    ($server:ident.$access:ident, |$session:ident| $work:expr) => {{
        let mut turn = $server.$access();
        let limit = turn.limit();
        loop {
            let $session = turn.begin().await?;
            let done = within(limit, $work).await;
            if let Some(done) = turn.end(done).await {
                break done;
            }
        }
    }};
}

impl Ledger {
    /// How many rows a ledger in files has in all: what [`Ledger::import_from`] carries.
    ///
    /// # Errors
    /// Only those of the files.
    pub async fn row_count(&self) -> Result<u64, LedgerError> {
        let (history, logs) = self.files()?;
        let mut rows = 0;
        rows += history.read(|file| row::count(file, row::HISTORY)).await?;
        rows += logs.read(|file| row::count(file, row::LOGS)).await?;
        Ok(rows)
    }

    /// The bytes of the largest spec of a ledger in files.
    ///
    /// # Errors
    /// Only those of the files.
    pub async fn largest_spec_bytes(&self) -> Result<u64, LedgerError> {
        let (history, _) = self.files()?;
        history.read(row::largest_spec).await
    }

    /// The move into this database; none where there was none.
    ///
    /// # Errors
    /// Those of the database, and [`LedgerError::Misconfigured`] for a ledger in files.
    pub async fn current_import(&self) -> Result<Option<Import>, LedgerError> {
        let server = self.server()?;
        turn!(server.read, |session| arrival::current(session))
    }

    /// Begins a move into this database. `at` is the [`Ledger::as_of`] of the source.
    ///
    /// # Errors
    /// [`LedgerError::NotEmpty`], and those of the database.
    pub async fn begin_import(&self, of: &Import, at: Millis) -> Result<(), LedgerError> {
        let server = self.server()?;
        turn!(server.write, |session| arrival::begin(session, of, at))
    }

    /// Notes how far the move into this database is.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_import_step(&self, step: ImportStep) -> Result<(), LedgerError> {
        let server = self.server()?;
        turn!(server.write, |session| arrival::set_step(session, step))
    }

    /// Copies every row that is not here yet, and tells how many came with each page.
    ///
    /// # Errors
    /// Those of both. It may be called again, also after a stop in the middle.
    pub async fn import_from(
        &self,
        source: &Ledger,
        tell: &(impl Fn(usize) + Sync),
    ) -> Result<(), LedgerError> {
        let server = self.server()?;
        let (history, logs) = source.files()?;
        carry::<row::Job>(server, history, tell).await?;
        carry::<row::Spec>(server, history, tell).await?;
        carry::<row::Label>(server, history, tell).await?;
        carry::<row::Attempt>(server, history, tell).await?;
        carry::<row::Queue>(server, history, tell).await?;
        carry::<row::Key>(server, history, tell).await?;
        carry::<row::Kind>(server, history, tell).await?;
        carry::<row::Producer>(server, history, tell).await?;
        carry::<row::Log>(server, logs, tell).await?;
        carry::<row::LogSize>(server, logs, tell).await?;
        carry::<row::Output>(server, logs, tell).await
    }

    fn files(&self) -> Result<(&Arc<Database>, &Arc<Database>), LedgerError> {
        match &self.home {
            Home::Files { history, logs } => Ok((history, logs)),
            Home::Server(_) => Err(unfit("it is in a database, and rows are carried from files")),
        }
    }

    fn server(&self) -> Result<&Server, LedgerError> {
        match &self.home {
            Home::Server(server) => Ok(server),
            Home::Files { .. } => Err(unfit("it is in files, and rows are carried to a database")),
        }
    }
}

fn unfit(message: &str) -> LedgerError {
    LedgerError::Misconfigured { path: Default::default(), message: message.to_owned() }
}

async fn carry<R: Carried>(
    server: &Server,
    file: &Arc<Database>,
    tell: &(impl Fn(usize) + Sync),
) -> Result<(), LedgerError> {
    let mut after: Option<R> = turn!(server.read, |session| R::last(session))?;
    loop {
        let from = after.take();
        let mut page = file.read(move |file| R::page(file, from.as_ref())).await?;
        if page.is_empty() {
            return Ok(());
        }
        turn!(server.write, |session| put(session, &page))?;
        tell(page.len());
        after = page.pop();
    }
}

/// A page, and that it is here.
fn put<'a, R: Carried>(session: &'a mut Session, page: &'a [R]) -> impl Answer<()> + 'a {
    async move {
        R::put(session, page).await?;
        arrival::arrived(session, page.len()).await
    }
}
