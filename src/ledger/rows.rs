//! From columns to values and back.

use std::fmt::Display;
use std::str::FromStr;

use crosswatch_core::model::build::{SetMember, Stage};
use crosswatch_core::model::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::Fault;

pub(super) fn text(row: &AnyRow, column: &'static str) -> Result<String, Fault> {
    Ok(row.try_get(column)?)
}

pub(super) fn maybe_text(row: &AnyRow, column: &'static str) -> Result<Option<String>, Fault> {
    Ok(row.try_get(column)?)
}

pub(super) fn number(row: &AnyRow, column: &'static str) -> Result<i64, Fault> {
    Ok(row.try_get(column)?)
}

pub(super) fn count(row: &AnyRow, column: &'static str) -> Result<u32, Fault> {
    Ok(u32::try_from(number(row, column)?).unwrap_or(u32::MAX))
}

pub(super) fn flag(row: &AnyRow, column: &'static str) -> Result<bool, Fault> {
    Ok(number(row, column)? != 0)
}

pub(super) fn time(row: &AnyRow, column: &'static str) -> Result<Timestamp, Fault> {
    Ok(Timestamp(number(row, column)?))
}

pub(super) fn maybe_time(row: &AnyRow, column: &'static str) -> Result<Option<Timestamp>, Fault> {
    let time: Option<i64> = row.try_get(column)?;
    Ok(time.map(Timestamp))
}

pub(super) fn parsed<T: FromStr>(row: &AnyRow, column: &'static str) -> Result<T, Fault>
where
    T::Err: Display,
{
    let text = text(row, column)?;
    text.parse().map_err(|error: T::Err| damaged(column, &text, &error))
}

pub(super) fn json<T: DeserializeOwned>(row: &AnyRow, column: &'static str) -> Result<T, Fault> {
    let text = text(row, column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, &text, &error))
}

pub(super) fn stage(row: &AnyRow) -> Result<Stage, Fault> {
    let word = text(row, "stage")?;
    Stage::from_word(&word).ok_or_else(|| damaged("stage", &word, &"no such stage"))
}

pub(super) fn to_json<T: Serialize>(column: &'static str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| damaged(column, "", &error))
}

/// Digest of a set that does not depend on the order of its members.
pub(super) fn set_digest(set: &[SetMember]) -> String {
    let mut lines: Vec<String> = set
        .iter()
        .map(|member| format!("{}\0{}\0{}\n", member.change, member.head, member.base))
        .collect();
    lines.sort();
    blake3::hash(lines.concat().as_bytes()).to_string()
}

fn damaged(column: &'static str, value: &str, reason: &dyn Display) -> Fault {
    let value = value.chars().take(60).collect();
    Fault::Damaged { column, value, reason: reason.to_string() }
}
