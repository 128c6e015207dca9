//! Many rows of texts as one: to be handed over one by one costs rows more than what is in them.
//!
//! A statement gives all of them as one text, in which each value stands behind its length, as in
//! `string_agg(length(a) || ':' || a || length(b) || ':' || b, '')`: whatever a value is made of, it
//! cannot be taken for another one.

use super::{Ledger, LedgerError};

/// Rows of one statement.
pub(super) struct Rows(String);

impl Rows {
    /// Rows that a statement gave as this.
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// Each with its values.
    pub(super) fn each<const N: usize>(&self) -> impl Iterator<Item = Result<[&str; N], String>> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let mut row = [""; N];
            for value in &mut row {
                match first(rest) {
                    Some((found, after)) => (*value, rest) = (found, after),
                    None => {
                        rest = "";
                        return Some(Err("rows whose lengths are wrong".to_owned()));
                    }
                }
            }
            Some(Ok(row))
        })
    }
}

/// The first value, and what follows it. Databases count characters.
fn first(text: &str) -> Option<(&str, &str)> {
    let (length, text) = text.split_once(':')?;
    let length: usize = length.parse().ok()?;
    let plain = text.as_bytes().get(..length).is_some_and(<[u8]>::is_ascii);
    let end = if plain {
        length
    } else {
        let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        ends.nth(length)?
    };
    text.split_at_checked(end)
}

impl Ledger {
    /// Rows of a workspace that a statement gives as one.
    pub(super) async fn rows(
        &self,
        statement: &'static str,
        workspace: &str,
    ) -> Result<Rows, LedgerError> {
        let rows: Option<String> = sqlx::query_scalar(statement)
            .bind(workspace)
            .fetch_one(self.store.reader())
            .await
            .map_err(self.sql())?;
        Ok(Rows(rows.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_were_whatever_they_are_made_of() {
        let values = ["a", "", "ü:3:x", "1:2", "\u{1e}\n\0", "日本語"];
        let text: String =
            values.iter().map(|value| format!("{}:{value}", value.chars().count())).collect();
        let rows = Rows(text);
        let read: Vec<[&str; 2]> = rows.each().map(|row| row.expect("a row")).collect();
        assert_eq!(read.as_flattened(), values);
        assert_eq!(Rows(String::new()).each::<2>().count(), 0);
        for wrong in ["1", "1:", "x:a", "3:ab", "1:a", "2:ü", "1:a9999999999999999999:b"] {
            let rows = Rows(wrong.to_owned());
            let read: Vec<_> = rows.each::<2>().collect();
            assert!(matches!(read.as_slice(), [Err(_)]), "{wrong}: {read:?}");
        }
    }
}
