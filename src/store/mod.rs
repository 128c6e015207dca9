//! Where the ledger is kept: one SQLite file or a PostgreSQL database, with the same statements.

mod error;

use std::fmt::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crosswatch_core::model::time::Span;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

pub use error::StoreError;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations");

/// An open database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    kind: Kind,
    place: Arc<str>,
    /// At most one connection: writers wait for each other here, not in the database.
    writer: AnyPool,
    readers: AnyPool,
}

/// Which database to open.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// A file; it is made if it is missing.
    Sqlite(PathBuf),
    /// `postgres://…`, possibly with a password.
    Postgres(SecretString),
}

/// How it is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How long to wait for somebody else's lock before [`StoreError::Busy`].
    pub busy: Span,
    /// Only read, and leave the schema as it is: for the command line beside a daemon.
    pub read_only: bool,
    /// The largest size of a SQLite file in pages of 4 KiB.
    pub max_pages: Option<u32>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { busy: Span::seconds(5), read_only: false, max_pages: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(url: &StoreUrl, options: &StoreOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (kind, place, address) = address(url, options)?;
        let wrong = |error| StoreError::from_sqlx(&place, error);
        let connect: AnyConnectOptions = address.expose_secret().parse().map_err(wrong)?;
        if kind == Kind::Sqlite && !options.read_only {
            make_file(url, &place)?;
        }
        // A pool only says that it timed out; one connection of our own says why.
        let probe = AnyConnection::connect_with(&connect);
        match tokio::time::timeout(options.busy.to_std(), probe).await {
            Ok(connection) => {
                connection.map_err(wrong)?.close().await.map_err(wrong)?;
            }
            Err(_) => {
                return Err(StoreError::Unreachable {
                    place: place.to_string(),
                    reason: format!("no connection within {}", options.busy),
                });
            }
        }
        let writer = pool(kind, options, options.read_only, 1).connect_lazy_with(connect.clone());
        let readers = pool(kind, options, true, 4).connect_lazy_with(connect);
        let store = Self { kind, place, writer, readers };
        store.migrate(options.read_only).await?;
        Ok(store)
    }

    /// The file, or host and database, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Starts a transaction that writes. It is rolled back when dropped.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begun = match self.kind {
            Kind::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Kind::Postgres => self.writer.begin().await,
        };
        begun.map_err(|error| self.failed(error))
    }

    /// Starts a transaction that reads one state of the database.
    pub(crate) async fn read(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begun = match self.kind {
            Kind::Sqlite => self.readers.begin().await,
            Kind::Postgres => {
                self.readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
            }
        };
        begun.map_err(|error| self.failed(error))
    }

    /// The error of a statement, with the place named.
    pub(crate) fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::from_sqlx(&self.place, error)
    }

    /// Closes all connections; a SQLite file is checkpointed by that.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn migrate(&self, read_only: bool) -> Result<(), StoreError> {
        let known = MIGRATIONS.iter().map(|step| step.version).max().unwrap_or(0);
        if read_only {
            let mut reading = self.read().await?;
            let found: i64 = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
                .fetch_one(&mut *reading)
                .await
                .map_err(|error| self.failed(error))?;
            return if found == known {
                Ok(())
            } else {
                Err(StoreError::Schema { place: self.place.to_string(), found, known })
            };
        }
        let mut connection = self.writer.acquire().await.map_err(|error| self.failed(error))?;
        MIGRATIONS
            .run(&mut *connection)
            .await
            .map_err(|error| StoreError::from_migrate(&self.place, known, error))
    }
}

fn pool(kind: Kind, options: &StoreOptions, reads: bool, size: u32) -> AnyPoolOptions {
    let busy = options.busy;
    let max_pages = options.max_pages;
    AnyPoolOptions::new()
        .max_connections(size)
        // Longer than a lock is waited for, so that the one in front of us can report its own.
        .acquire_timeout(busy.times(3).to_std())
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for statement in session(kind, busy, reads, max_pages) {
                    // Built from numbers alone.
                    connection.execute(sqlx::AssertSqlSafe(statement)).await?;
                }
                Ok(())
            })
        })
}

fn session(kind: Kind, busy: Span, reads: bool, max_pages: Option<u32>) -> Vec<String> {
    match kind {
        Kind::Sqlite => {
            let mut statements = vec![format!("PRAGMA busy_timeout = {}", busy.0)];
            statements.push("PRAGMA foreign_keys = ON".to_owned());
            if reads {
                statements.push("PRAGMA query_only = ON".to_owned());
            } else {
                statements.push("PRAGMA journal_mode = WAL".to_owned());
                statements.push("PRAGMA synchronous = FULL".to_owned());
                if let Some(pages) = max_pages {
                    statements.push(format!("PRAGMA max_page_count = {pages}"));
                }
            }
            statements
        }
        Kind::Postgres => vec![
            format!("SET lock_timeout = {}", busy.0),
            format!("SET statement_timeout = {}", busy.times(12).0),
            format!("SET idle_in_transaction_session_timeout = {}", busy.times(12).0),
        ],
    }
}

fn address(
    url: &StoreUrl,
    options: &StoreOptions,
) -> Result<(Kind, Arc<str>, SecretString), StoreError> {
    match url {
        StoreUrl::Sqlite(path) => {
            let place = path.display().to_string();
            let unreachable =
                |reason: String| StoreError::Unreachable { place: place.clone(), reason };
            let path = std::path::absolute(path).map_err(|error| unreachable(error.to_string()))?;
            let text =
                path.to_str().ok_or_else(|| unreachable("the path is not UTF-8".to_owned()))?;
            let mode = if options.read_only { "ro" } else { "rw" };
            let mut address = String::from("sqlite://");
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
                    address.push(char::from(byte));
                } else {
                    // Writing to a String cannot fail.
                    write!(address, "%{byte:02X}").unwrap_or_default();
                }
            }
            write!(address, "?mode={mode}").unwrap_or_default();
            Ok((Kind::Sqlite, place.into(), address.into()))
        }
        StoreUrl::Postgres(secret) => {
            let wrong = |reason: &str| StoreError::Address { reason: reason.to_owned() };
            let parsed = url::Url::parse(secret.expose_secret())
                .map_err(|_| wrong("it cannot be read as an address"))?;
            if !matches!(parsed.scheme(), "postgres" | "postgresql") {
                return Err(wrong("it does not begin with postgres://"));
            }
            let socket = parsed.query_pairs().find(|(key, _)| key == "host");
            let host = socket
                .map(|(_, value)| value.into_owned())
                .or_else(|| parsed.host_str().map(str::to_owned))
                .unwrap_or_else(|| "localhost".to_owned());
            let place = format!("PostgreSQL {host}, database {}", parsed.path().trim_matches('/'));
            Ok((Kind::Postgres, place.into(), secret.clone()))
        }
    }
}

/// Makes the file before SQLite would, readable by its owner alone; SQLite's side files inherit it.
fn make_file(url: &StoreUrl, place: &str) -> Result<(), StoreError> {
    let StoreUrl::Sqlite(path) = url else { return Ok(()) };
    let path: &Path = path;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|error| StoreError::from_io(place, &error))
}
