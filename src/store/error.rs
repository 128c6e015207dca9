//! What can be wrong with a database, and what to do about it.

/// An error of the database. Nothing was written; the next pass tries again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or opened.
    #[error("the database {place} cannot be reached: {why}; look whether it is there and running")]
    Unreachable {
        /// File or server.
        place: String,
        /// The database's own words.
        why: String,
    },
    /// Somebody else holds its lock.
    #[error("the database {place} is locked by somebody else: {why}; end whoever holds it")]
    Busy {
        /// File or server.
        place: String,
        /// The database's own words.
        why: String,
    },
    /// No room is left.
    #[error(
        "the disk of the database {place} is full: {why}; make room, the daemon goes on by itself"
    )]
    Full {
        /// File or server.
        place: String,
        /// The database's own words.
        why: String,
    },
    /// It may not be written.
    #[error("the database {place} cannot be written: {why}; give the daemon's user the right to")]
    ReadOnly {
        /// File or server.
        place: String,
        /// The database's own words.
        why: String,
    },
    /// Its schema is not ours.
    #[error("the schema of the database {place} does not fit this version: {why}")]
    Schema {
        /// File or server.
        place: String,
        /// The database's own words.
        why: String,
    },
    /// A row holds what we did not write.
    #[error("the database {place} holds a value that cannot be read: {why}")]
    Content {
        /// File or server.
        place: String,
        /// What was found.
        why: String,
    },
    /// The place itself is no place for a database.
    #[error("{place} cannot hold a database: {why}")]
    Place {
        /// File.
        place: String,
        /// Why not.
        why: String,
    },
    /// Anything else.
    #[error("the database {place}: {why}")]
    Other {
        /// File or server.
        place: String,
        /// The database's own words.
        why: String,
    },
}

impl StoreError {
    /// Sorts a database's error by what a person has to do about it.
    pub(super) fn from_sqlx(place: &str, error: &sqlx::Error) -> Self {
        let (place, why) = (place.to_owned(), error.to_string());
        let code = match error {
            sqlx::Error::Database(error) => error.code().map(|code| code.into_owned()),
            _ => None,
        };
        // SQLite's primary result codes are in the low byte: sqlite.org/rescode.html. PostgreSQL's are
        // five characters: postgresql.org/docs/current/errcodes-appendix.html.
        let primary = code.as_deref().and_then(|code| code.parse::<u32>().ok()).map(|c| c & 0xff);
        match (error, code.as_deref(), primary) {
            (_, Some("53100"), _) | (_, _, Some(13)) => Self::Full { place, why },
            (_, Some("25006" | "42501"), _) | (_, _, Some(8)) => Self::ReadOnly { place, why },
            (_, Some("55P03" | "40P01"), _) | (_, _, Some(5 | 6)) => Self::Busy { place, why },
            (_, _, Some(14 | 10)) => Self::Unreachable { place, why },
            (sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_), ..) => {
                Self::Unreachable { place, why }
            }
            (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_), ..) => {
                Self::Content { place, why }
            }
            _ => Self::Other { place, why },
        }
    }
}
