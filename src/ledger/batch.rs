//! Many rows with one statement: each statement costs more than a row does.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

/// Rows of one statement, the largest number first; few numbers, so that few statements are prepared.
const SIZES: [usize; 3] = [64, 8, 1];

/// A value of a row.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Rows of `N` values that will be written by one statement, no two of which are about the same.
#[derive(Debug)]
pub(super) struct Batch<const N: usize> {
    /// What stands before and after the rows.
    statement: (&'static str, &'static str),
    rows: Vec<[Value; N]>,
}

impl<const N: usize> Batch<N> {
    /// Without rows.
    pub(super) fn new(before: &'static str, after: &'static str) -> Self {
        Self { statement: (before, after), rows: Vec::new() }
    }

    /// One more row.
    pub(super) fn push(&mut self, row: [Value; N]) {
        self.rows.push(row);
    }

    /// Writes all of them; gives what the statement returns.
    pub(super) async fn write(
        self,
        write: &mut Transaction<'static, Any>,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        let mut returned = Vec::new();
        let mut rows = self.rows.into_iter();
        for size in SIZES {
            while rows.len() >= size {
                let statement = sql(self.statement, N, size);
                let mut query = sqlx::query(AssertSqlSafe(statement));
                for value in rows.by_ref().take(size).flatten() {
                    query = match value {
                        Value::Text(text) => query.bind(text),
                        Value::Number(number) => query.bind(number),
                    };
                }
                returned.extend(query.fetch_all(&mut **write).await?);
            }
        }
        Ok(returned)
    }
}

/// The statement for that many rows.
fn sql((before, after): (&str, &str), columns: usize, rows: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("{before} VALUES {} {after}", rows.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_place() {
        let sql = sql(("INSERT INTO t (a, b)", "ON CONFLICT DO NOTHING"), 2, 2);
        assert_eq!(sql, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
    }
}
