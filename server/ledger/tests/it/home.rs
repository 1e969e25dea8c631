//! The homes of a ledger, so that a test of what it does runs on each.

use sentinel_faults::MariaDb;
use sentinel_ledger::{Ledger, LedgerError, LedgerOptions, MigrationMode};

/// Where a ledger is to be made.
#[derive(Clone, Copy)]
pub(crate) enum Home {
    File,
    MariaDb,
}

/// Where it is. Gone when dropped.
pub(crate) enum Place {
    Directory(tempfile::TempDir),
    MariaDb(MariaDb),
}

impl Place {
    /// Opens it once more, as another server would.
    pub(crate) async fn open(&self) -> Ledger {
        self.try_open().await.expect("opened")
    }

    pub(crate) async fn try_open(&self) -> Result<Ledger, LedgerError> {
        match self {
            Self::Directory(directory) => Ledger::open(&directory.path().join("ledger.db")).await,
            Self::MariaDb(database) => {
                Ledger::connect(&database.url(), LedgerOptions::default()).await
            }
        }
    }
}

/// An empty ledger.
pub(crate) async fn fresh(home: Home) -> (Place, Ledger) {
    let place = match home {
        Home::File => Place::Directory(tempfile::tempdir().expect("a temporary directory")),
        Home::MariaDb => {
            let database = MariaDb::start();
            let done = Ledger::migrate(&database.url(), MigrationMode::Apply).await;
            done.expect("migrated");
            Place::MariaDb(database)
        }
    };
    let ledger = place.open().await;
    (place, ledger)
}

/// Makes a test of each function for each home.
macro_rules! on_every_home {
    ($($test:ident),+ $(,)?) => {
        mod file {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::home::Home::File).await;
            })+
        }

        mod mariadb {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::home::Home::MariaDb).await;
            })+
        }
    };
}

pub(crate) use on_every_home;
