//! Overrides as a file for autoproj's `overrides.d`: a list of one-key mappings.
//!
//! It is written by hand, since what a general YAML writer leaves unquoted (`yes`, `1_000`) Ruby's
//! reader, of YAML 1.1, takes for something else.

use crate::model::build::Override;

pub(super) fn spell(overrides: &[Override]) -> String {
    if overrides.iter().all(|entry| entry.packages.is_empty()) {
        return "--- []\n".to_owned();
    }
    let mut text = "---\n".to_owned();
    for entry in overrides {
        for package in &entry.packages {
            text.push_str(&format!(
                "- {}:\n    remote_branch: {}\n    single_branch: false\n    shallow: false\n",
                scalar(&pattern(package)),
                scalar(&entry.ref_name)
            ));
            // autoproj keeps a pin beside an override unless it is told to forget it.
            if entry.unpin {
                text.push_str("    commit: null\n    tag: null\n");
            }
        }
    }
    text
}

/// autoproj takes a key for a regular expression, anchored at its start only, unless it consists of
/// letters, digits, `_`, `/` and `-`. Without an end `tools/orocos.rb` would also override
/// `tools/orocos.rb_ext`, and `libstdc++` nothing at all.
fn pattern(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_/-".contains(c);
    if key.chars().all(plain) {
        return key.to_owned();
    }
    // Keys of package sets are known in this very form; a dot in them does no harm.
    let set = key.starts_with("pkg_set:");
    let mut text = String::with_capacity(key.len() + 2);
    for c in key.chars() {
        if "\\+*?()[]{}^$|".contains(c) || (c == '.' && !set) {
            text.push('\\');
        }
        text.push(c);
    }
    if !set {
        text.push('$');
    }
    text
}

/// A text that every YAML reader takes for exactly this text.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan"];
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./:+-@".contains(c);
    let word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if starts && !word && !text.ends_with(':') && text.chars().all(safe) {
        return text.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_match_one_package() {
        assert_eq!(pattern("drivers/iodrivers_base"), "drivers/iodrivers_base");
        assert_eq!(pattern("tools/orocos.rb"), "tools/orocos\\.rb$");
        assert_eq!(pattern("libstdc++"), "libstdc\\+\\+$");
        assert_eq!(pattern("pkg_set:github:/o/r.git"), "pkg_set:github:/o/r.git");
    }

    proptest! {
        #[test]
        fn scalars_are_read_back(text in "\\PC{1,20}|[a-z:. -]{1,6}|\\PC(\n|\t|\u{85}|\u{2028}|\u{7f}|\\PC){0,5}") {
            let yaml = format!("- {}:\n    {}\n", scalar(&text), scalar(&text));
            let value: serde_yaml::Value = serde_yaml::from_str(&yaml).expect("YAML");
            let read = value[0].get(text.as_str()).and_then(serde_yaml::Value::as_str);
            prop_assert_eq!(read, Some(text.as_str()));
        }
    }
}
