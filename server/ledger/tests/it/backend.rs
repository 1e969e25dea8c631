//! The database backends, so that a test runs on each of them.

use sentinel_domain::limits::PAYLOAD_MAX_BYTES;
use sentinel_faults::MariaDb;
use sentinel_ledger::{Ledger, LedgerError, LedgerOptions, MigrationMode};

/// A database backend.
#[derive(Clone, Copy)]
pub(crate) enum BackendKind {
    Sqlite,
    MariaDb,
}

/// A database for one test, deleted on drop.
pub(crate) enum TestDatabase {
    Sqlite(tempfile::TempDir),
    MariaDb(MariaDb),
}

impl TestDatabase {
    /// Opens the ledger again, as another server would.
    pub(crate) async fn open(&self) -> Ledger {
        self.try_open().await.expect("opened")
    }

    pub(crate) async fn try_open(&self) -> Result<Ledger, LedgerError> {
        match self {
            Self::Sqlite(directory) => Ledger::open(&directory.path().join("ledger.db")).await,
            Self::MariaDb(database) => {
                Ledger::connect(&database.url(), LedgerOptions::new(PAYLOAD_MAX_BYTES)).await
            }
        }
    }
}

/// Creates an empty ledger.
pub(crate) async fn fresh_ledger(backend: BackendKind) -> (TestDatabase, Ledger) {
    let database = match backend {
        BackendKind::Sqlite => {
            TestDatabase::Sqlite(tempfile::tempdir().expect("a temporary directory"))
        }
        BackendKind::MariaDb => {
            let database = MariaDb::start();
            let done = Ledger::migrate(&database.url(), MigrationMode::Apply).await;
            done.expect("migrated");
            TestDatabase::MariaDb(database)
        }
    };
    let ledger = database.open().await;
    (database, ledger)
}

/// Defines a test of each function for each backend.
macro_rules! on_every_backend {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::backend::BackendKind::Sqlite).await;
            })+
        }

        mod mariadb {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::backend::BackendKind::MariaDb).await;
            })+
        }
    };
}

pub(crate) use on_every_backend;
