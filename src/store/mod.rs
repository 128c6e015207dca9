//! The database under the ledger: an SQLite file, or a PostgreSQL server, spoken to with the same
//! statements. One connection writes, several read.

mod error;

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Executor, Transaction};

pub use error::StoreError;

/// Longest wait for a lock or a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open database of the present schema.
#[derive(Clone, Debug)]
pub struct Store {
    write: AnyPool,
    read: AnyPool,
    begin: &'static str,
    place: String,
}

impl Store {
    /// Opens or makes the SQLite database in `path`, safe against power loss.
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        let place = path.display().to_string();
        let file = url::Url::from_file_path(path).map_err(|()| StoreError::Place {
            place: place.clone(),
            why: "its path is not absolute".to_owned(),
        })?;
        // Made before the database, so that at no time somebody else may read it.
        let made =
            std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(
                |error| StoreError::Unreachable { place: place.clone(), why: error.to_string() },
            );
        drop(made?);
        let url = format!("sqlite://{}?mode=rwc", file.path());
        Self::open(&url, place, "BEGIN IMMEDIATE", true).await
    }

    /// Connects to a PostgreSQL server.
    pub async fn postgres(url: &SecretString) -> Result<Self, StoreError> {
        Self::open(url.expose_secret(), postgres_place(url), "BEGIN", false).await
    }

    /// Whether a PostgreSQL server answers, and its place; its schema is left as it is.
    pub async fn reachable(url: &SecretString) -> Result<String, StoreError> {
        sqlx::any::install_default_drivers();
        let place = postgres_place(url);
        let failed = |error| StoreError::from_sqlx(&place, &error);
        let options = AnyPoolOptions::new().acquire_timeout(PATIENCE).max_connections(1);
        let pool = options.connect(url.expose_secret()).await.map_err(failed)?;
        let answer = pool.execute("SELECT 1").await.map_err(failed);
        pool.close().await;
        answer.map(|_| place.clone())
    }

    async fn open(
        url: &str,
        place: String,
        begin: &'static str,
        sqlite: bool,
    ) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let options = || {
            AnyPoolOptions::new()
                .acquire_timeout(PATIENCE)
                .max_lifetime(None)
                .idle_timeout(None)
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        if sqlite {
                            connection
                                .execute(
                                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                     PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;",
                                )
                                .await?;
                        }
                        Ok(())
                    })
                })
        };
        let failed = |error| StoreError::from_sqlx(&place, &error);
        let write = options().max_connections(1).connect(url).await.map_err(failed)?;
        let migrations = sqlx::migrate!("src/store/migrations");
        migrations
            .run(&write)
            .await
            .map_err(|error| StoreError::Schema { place: place.clone(), why: error.to_string() })?;
        let read = options().max_connections(4).connect(url).await.map_err(failed)?;
        Ok(Self { write, read, begin, place })
    }

    /// Where it is, without passwords.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Begins the one writing transaction; dropping it rolls it back.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let error = match self.write.begin_with(self.begin).await {
            Ok(transaction) => return Ok(transaction),
            Err(error) => self.error(&error),
        };
        if matches!(error, StoreError::Busy { .. } | StoreError::Unreachable { .. }) {
            return Err(error);
        }
        // SQLite itself rolls back a transaction when its disk is full
        // (sqlite.org/lang_transaction.html), of which its connection here is not told and then never
        // begins another one; and what was opened while its file could only be read stays so. A fresh
        // connection takes the place of both.
        if let Ok(connection) = self.write.acquire().await {
            connection.close().await.map_err(|error| self.error(&error))?;
        }
        self.write.begin_with(self.begin).await.map_err(|error| self.error(&error))
    }

    /// For reading.
    pub fn reader(&self) -> &AnyPool {
        &self.read
    }

    /// Names the place in a database's error.
    pub fn error(&self, error: &sqlx::Error) -> StoreError {
        StoreError::from_sqlx(&self.place, error)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// A server as it may be shown.
fn postgres_place(url: &SecretString) -> String {
    url::Url::parse(url.expose_secret()).ok().map_or_else(
        || "the PostgreSQL server".to_owned(),
        |url| format!("PostgreSQL on {}{}", url.host_str().unwrap_or("a socket"), url.path()),
    )
}
