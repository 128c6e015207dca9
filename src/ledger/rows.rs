//! Many rows of texts as one: to be handed over one by one costs rows more than what is in them.
//!
//! A statement gives all of them as one text, such as
//! `string_agg(concat(length(a), ':', a, length(b), ':', b), '')`. A value stands behind its length: whatever
//! it is made of, it cannot be taken for another one; and one that is NULL has no length, since `concat`
//! leaves that out. What is made of no spaces may stand before one, and what is JSON before a line break.

use super::{Ledger, LedgerError};

/// What of a text was not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    /// All of it.
    pub(super) fn of(text: &'t str) -> Self {
        Self(text)
    }

    /// Whether everything was read.
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// What stands before the next space.
    pub(super) fn word(&mut self) -> Result<&'t str, String> {
        self.until(' ')
    }

    /// What stands before the next line break, nothing where that is NULL.
    pub(super) fn line(&mut self) -> Result<Option<&'t str>, String> {
        Ok(Some(self.until('\n')?).filter(|line| !line.is_empty()))
    }

    fn until(&mut self, end: char) -> Result<&'t str, String> {
        let (found, rest) = self.0.split_once(end).ok_or_else(wrong)?;
        self.0 = rest;
        Ok(found)
    }

    /// The next value, nothing where it is NULL.
    pub(super) fn nullable(&mut self) -> Result<Option<&'t str>, String> {
        let (length, text) = self.0.split_once(':').ok_or_else(wrong)?;
        if length.is_empty() {
            self.0 = text;
            return Ok(None);
        }
        let length: usize = length.parse().map_err(|_| wrong())?;
        // Databases count characters.
        let plain = text.as_bytes().get(..length).is_some_and(<[u8]>::is_ascii);
        let end = if plain {
            length
        } else {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.nth(length).ok_or_else(wrong)?
        };
        let (value, rest) = text.split_at_checked(end).ok_or_else(wrong)?;
        self.0 = rest;
        Ok(Some(value))
    }

    /// The next value.
    pub(super) fn value(&mut self) -> Result<&'t str, String> {
        self.nullable()?.ok_or_else(wrong)
    }
}

fn wrong() -> String {
    "rows whose lengths are wrong".to_owned()
}

/// Rows of `N` values each.
pub(super) fn each<const N: usize>(text: &str) -> impl Iterator<Item = Result<[&str; N], String>> {
    let mut rest = Rest::of(text);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut row = [""; N];
        for value in &mut row {
            match rest.value() {
                Ok(found) => *value = found,
                Err(why) => {
                    rest = Rest::of("");
                    return Some(Err(why));
                }
            }
        }
        Some(Ok(row))
    })
}

impl Ledger {
    /// Rows of a workspace that a statement gives as one.
    pub(super) async fn rows(
        &self,
        statement: &'static str,
        workspace: &str,
    ) -> Result<String, LedgerError> {
        let rows: Option<String> = sqlx::query_scalar(statement)
            .bind(workspace)
            .fetch_one(self.store.reader())
            .await
            .map_err(self.sql())?;
        Ok(rows.unwrap_or_default())
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
        let read: Vec<[&str; 2]> = each(&text).map(|row| row.expect("a row")).collect();
        assert_eq!(read.as_flattened(), values);
        assert_eq!(each::<2>("").count(), 0);
        for wrong in ["1", "1:", "x:a", "3:ab", "1:a", "2:ü", "1:a9999999999999999999:b", ":1:a"] {
            let read: Vec<_> = each::<2>(wrong).collect();
            assert!(matches!(read.as_slice(), [Err(_)]), "{wrong}: {read:?}");
        }
    }

    #[test]
    fn words_stand_before_values_and_what_is_null_is_no_empty_text() {
        let mut rest = Rest::of("12  1:a:0:{}\n\n");
        assert_eq!((rest.word(), rest.word()), (Ok("12"), Ok("")));
        let values = [rest.nullable(), rest.nullable(), rest.nullable()];
        assert_eq!(values, [Ok(Some("a")), Ok(None), Ok(Some(""))]);
        assert_eq!((rest.line(), rest.line()), (Ok(Some("{}")), Ok(None)));
        assert!(rest.is_empty() && rest.word().is_err() && rest.nullable().is_err());
    }
}
