//! Import of a ledger in files into a shared database.
//!
//! Copies table by table, in the order of the primary key, in pages. A page is one transaction,
//! so after an interruption the last key of a table in the database is where to continue.

mod rows;

use std::sync::Arc;

use sentinel_domain::Millis;

use crate::connection::QueryFuture;
use crate::error::LedgerError;
use crate::ledger::{Backend, Ledger};
use crate::mysql::connection::MysqlSession;
use crate::mysql::database::{MysqlDatabase, with_transaction};
use crate::mysql::import_state;
use crate::sqlite::file::SqliteFile;
use crate::types::import::{Import, ImportStep};
use rows::ImportedRow;

impl Ledger {
    /// Returns the number of rows of a ledger in files: those that [`Ledger::import_from`]
    /// copies.
    ///
    /// # Errors
    /// Only those of the files.
    pub async fn row_count(&self) -> Result<u64, LedgerError> {
        let (history, logs) = self.files()?;
        let mut count = 0;
        count += history.read(|file| rows::count(file, rows::HISTORY)).await?;
        count += logs.read(|file| rows::count(file, rows::LOGS)).await?;
        Ok(count)
    }

    /// Returns the size of the largest spec of a ledger in files, in bytes.
    ///
    /// # Errors
    /// Only those of the files.
    pub async fn largest_spec_bytes(&self) -> Result<u64, LedgerError> {
        let (history, _) = self.files()?;
        history.read(rows::largest_spec).await
    }

    /// Returns the import into this database; `None` if there was none.
    ///
    /// # Errors
    /// Those of the database, and [`LedgerError::Misconfigured`] for a ledger in files.
    pub async fn current_import(&self) -> Result<Option<Import>, LedgerError> {
        let database = self.database()?;
        with_transaction!(database.read, |session| import_state::current(session))
    }

    /// Begins an import into this database. `at` is the [`Ledger::as_of`] of the source.
    ///
    /// # Errors
    /// [`LedgerError::NotEmpty`], and those of the database.
    pub async fn begin_import(&self, import: &Import, at: Millis) -> Result<(), LedgerError> {
        let database = self.database()?;
        with_transaction!(database.write, |session| import_state::begin(session, import, at))
    }

    /// Records the progress of the import into this database.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_import_step(&self, step: ImportStep) -> Result<(), LedgerError> {
        let database = self.database()?;
        with_transaction!(database.write, |session| import_state::set_step(session, step))
    }

    /// Copies every row that is not in this database yet. Calls `on_page` with the number of
    /// rows of each page. It can be called again, also after an interruption.
    ///
    /// # Errors
    /// Those of the files and of the database.
    pub async fn import_from(
        &self,
        source: &Ledger,
        on_page: &(impl Fn(usize) + Sync),
    ) -> Result<(), LedgerError> {
        let database = self.database()?;
        let (history, logs) = source.files()?;
        import_table::<rows::Job>(database, history, on_page).await?;
        import_table::<rows::Spec>(database, history, on_page).await?;
        import_table::<rows::Label>(database, history, on_page).await?;
        import_table::<rows::Attempt>(database, history, on_page).await?;
        import_table::<rows::Queue>(database, history, on_page).await?;
        import_table::<rows::Key>(database, history, on_page).await?;
        import_table::<rows::Kind>(database, history, on_page).await?;
        import_table::<rows::Producer>(database, history, on_page).await?;
        import_table::<rows::Log>(database, logs, on_page).await?;
        import_table::<rows::LogSize>(database, logs, on_page).await?;
        import_table::<rows::Output>(database, logs, on_page).await
    }

    fn files(&self) -> Result<(&Arc<SqliteFile>, &Arc<SqliteFile>), LedgerError> {
        match &self.backend {
            Backend::Sqlite { history, logs } => Ok((history, logs)),
            Backend::Mysql(_) => {
                Err(misconfigured("it is in a database, and an import reads files"))
            }
        }
    }

    fn database(&self) -> Result<&MysqlDatabase, LedgerError> {
        match &self.backend {
            Backend::Mysql(database) => Ok(database),
            Backend::Sqlite { .. } => {
                Err(misconfigured("it is in files, and an import writes to a database"))
            }
        }
    }
}

fn misconfigured(message: &str) -> LedgerError {
    LedgerError::Misconfigured { path: Default::default(), message: message.to_owned() }
}

async fn import_table<R: ImportedRow>(
    database: &MysqlDatabase,
    file: &Arc<SqliteFile>,
    on_page: &(impl Fn(usize) + Sync),
) -> Result<(), LedgerError> {
    let mut after: Option<R> = with_transaction!(database.read, |session| R::last(session))?;
    loop {
        let from = after.take();
        let mut page = file.read(move |file| R::page(file, from.as_ref())).await?;
        if page.is_empty() {
            return Ok(());
        }
        with_transaction!(database.write, |session| insert_page(session, &page))?;
        on_page(page.len());
        after = page.pop();
    }
}

/// Inserts a page and updates the number of copied rows in the same transaction.
fn insert_page<'a, R: ImportedRow>(
    session: &'a mut MysqlSession,
    page: &'a [R],
) -> impl QueryFuture<()> + 'a {
    async move {
        R::insert(session, page).await?;
        import_state::add_rows(session, page.len()).await
    }
}
