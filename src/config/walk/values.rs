//! What names, URLs, ref patterns and variables must look like.

/// `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 64 characters: safe as a folder's name.
pub fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The name of a variable of the environment.
pub fn is_variable(text: &str) -> bool {
    text.len() <= 256
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What is wrong with a URL of one of these schemes.
pub fn url_fault(text: &str, schemes: &[&str]) -> Option<String> {
    let wrong = || Some(format!("expected a URL that begins with {}://", schemes.join(":// or ")));
    let Ok(url) = url::Url::parse(text) else { return wrong() };
    let hostless = url.host_str().is_none_or(str::is_empty) && url.scheme() != "file";
    if !schemes.contains(&url.scheme()) || !text.contains("://") || hostless {
        return wrong();
    }
    if text.contains(char::is_whitespace) || url.query().is_some() || url.fragment().is_some() {
        return Some("expected a URL without spaces, ? and #".into());
    }
    None
}

/// `user@host:path`, as ssh takes it.
pub fn is_scp(text: &str) -> bool {
    let Some((host, path)) = text.split_once(':') else { return false };
    !host.is_empty()
        && !host.starts_with('-')
        && !path.starts_with("//")
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"@._-".contains(&b))
        && !text.contains(char::is_whitespace)
}

/// What is wrong with a ref pattern.
pub fn pattern_fault(text: &str) -> Option<&'static str> {
    if !text.starts_with("refs/") {
        return Some("a ref pattern begins with refs/");
    }
    if text.matches('*').count() != 1 {
        return Some("a ref pattern has exactly one *, for the number");
    }
    if !is_ref(&text.replace('*', "1")) {
        return Some("this is not a valid ref");
    }
    (!text.split('/').any(|part| part == "*"))
        .then_some("the * of a ref pattern stands alone between two /")
}

/// Whether git takes it as a ref or branch, and no command takes it as an option.
pub fn is_ref(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.starts_with(['-', '/'])
        && !text.ends_with(['/', '.'])
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
        && !text.ends_with(".lock")
        && !text.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
}
