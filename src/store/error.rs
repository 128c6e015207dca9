//! What can be wrong with the database, by what has to be done about it.

use sqlx::migrate::MigrateError;

/// Why the database did not do what it was asked. Passwords are never part of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The configured address makes no sense.
    #[error("the database's address is wrong: {reason}; write postgres://USER@HOST/DATABASE")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be opened or the connection broke.
    #[error("{place} cannot be reached: {reason}; it is tried again")]
    Unreachable {
        /// File or host.
        place: String,
        /// What happened.
        reason: String,
    },
    /// Somebody else holds a lock for too long.
    #[error("{place} is locked: {reason}; end whoever holds it, it is tried again")]
    Busy {
        /// File or host.
        place: String,
        /// What happened.
        reason: String,
    },
    /// No space is left.
    #[error("{place} is full: {reason}; make space, it is tried again")]
    Full {
        /// File or host.
        place: String,
        /// What happened.
        reason: String,
    },
    /// It must not be written.
    #[error("{place} is read-only: {reason}; make it writable, it is tried again")]
    ReadOnly {
        /// File or host.
        place: String,
        /// What happened.
        reason: String,
    },
    /// It is damaged or no database at all.
    #[error("{place} is damaged: {reason}; restore it, or move it away to begin anew")]
    Corrupt {
        /// File or host.
        place: String,
        /// What happened.
        reason: String,
    },
    /// It was written by another version.
    #[error(
        "{place} has schema {found}, this program knows {known}; use the version that wrote it"
    )]
    Schema {
        /// File or host.
        place: String,
        /// Version that was found.
        found: i64,
        /// Version that this program has.
        known: i64,
    },
    /// A statement failed for another reason; this is a fault of the program.
    #[error("{place} refused a statement: {reason}")]
    Statement {
        /// File or host.
        place: String,
        /// What happened.
        reason: String,
    },
}

impl StoreError {
    /// Whether trying again later can help without anybody changing the program or the data.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Busy { .. }
                | Self::Full { .. }
                | Self::ReadOnly { .. }
        )
    }

    pub(super) fn from_io(place: &str, error: &std::io::Error) -> Self {
        let (place, reason) = (place.to_owned(), error.to_string());
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full { place, reason }
            }
            std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { place, reason }
            }
            _ => Self::Unreachable { place, reason },
        }
    }

    pub(super) fn from_migrate(place: &str, known: i64, error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::from_sqlx(place, error)
            }
            MigrateError::VersionMissing(found) | MigrateError::VersionMismatch(found) => {
                Self::Schema { place: place.to_owned(), found, known }
            }
            other => Self::Statement { place: place.to_owned(), reason: other.to_string() },
        }
    }

    pub(super) fn from_sqlx(place: &str, error: sqlx::Error) -> Self {
        let owned = place.to_owned();
        match error {
            sqlx::Error::Io(error) => Self::from_io(place, &error),
            sqlx::Error::Tls(error) => {
                Self::Unreachable { place: owned, reason: error.to_string() }
            }
            sqlx::Error::PoolTimedOut => {
                Self::Busy { place: owned, reason: "no connection became free in time".to_owned() }
            }
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unreachable { place: owned, reason: "the connection is closed".to_owned() }
            }
            // The text of this one may repeat the address, which may hold a password.
            sqlx::Error::Configuration(_) => {
                Self::Address { reason: "it cannot be understood".to_owned() }
            }
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                by_code(owned, &code, error.message().to_owned())
            }
            other => Self::Statement { place: owned, reason: other.to_string() },
        }
    }
}

fn by_code(place: String, code: &str, reason: String) -> StoreError {
    // A SQLSTATE has five characters; SQLite's extended codes are decimal and at most four digits.
    if code.len() == 5 {
        return match code {
            _ if code.starts_with("08") || code.starts_with("28") || code.starts_with("57P") => {
                StoreError::Unreachable { place, reason }
            }
            "3D000" => StoreError::Unreachable { place, reason },
            "53100" => StoreError::Full { place, reason },
            "25006" | "42501" => StoreError::ReadOnly { place, reason },
            "55P03" | "57014" | "40001" | "40P01" | "53300" => StoreError::Busy { place, reason },
            "XX001" | "XX002" => StoreError::Corrupt { place, reason },
            _ => StoreError::Statement { place, reason },
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => StoreError::Busy { place, reason },
        Ok(8) => StoreError::ReadOnly { place, reason },
        Ok(10 | 14) => StoreError::Unreachable { place, reason },
        Ok(11 | 26) => StoreError::Corrupt { place, reason },
        Ok(13) => StoreError::Full { place, reason },
        _ => StoreError::Statement { place, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_are_told_apart() {
        let of = |code| by_code("here".to_owned(), code, "why".to_owned());
        assert!(matches!(of("5"), StoreError::Busy { .. }));
        assert!(matches!(of("517"), StoreError::Busy { .. }));
        assert!(matches!(of("1032"), StoreError::ReadOnly { .. }));
        assert!(matches!(of("13"), StoreError::Full { .. }));
        assert!(matches!(of("26"), StoreError::Corrupt { .. }));
        assert!(matches!(of("57P01"), StoreError::Unreachable { .. }));
        assert!(matches!(of("55P03"), StoreError::Busy { .. }));
        assert!(matches!(of("53100"), StoreError::Full { .. }));
        assert!(matches!(of("42601"), StoreError::Statement { .. }));
        assert!(of("5").passes() && !of("11").passes());
    }
}
