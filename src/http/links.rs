//! The `Link` header (RFC 8288), as far as paging needs it.

/// The target of the first link with the relation `next`.
pub(super) fn next<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    headers.into_iter().flat_map(links).find(|link| link.is_next).map(|link| link.target)
}

struct Link<'a> {
    target: &'a str,
    is_next: bool,
}

/// The links of one header. What cannot be read ends it.
fn links(header: &str) -> impl Iterator<Item = Link<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        rest = after;
        let mut is_next = false;
        let mut seen = false;
        loop {
            rest = rest.trim_start();
            let Some(after) = rest.strip_prefix(';') else { break };
            let (name, value, after) = parameter(after);
            rest = after;
            // Of several `rel` only the first counts.
            if name.eq_ignore_ascii_case("rel") && !seen {
                seen = true;
                is_next =
                    value.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"));
            }
        }
        Some(Link { target, is_next })
    })
}

/// One parameter: its name, its value, and what follows.
fn parameter(text: &str) -> (&str, &str, &str) {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let name = name.trim();
    let Some(value) = after.strip_prefix('=') else { return (name, "", after) };
    let value = value.trim_start();
    let Some(quoted) = value.strip_prefix('"') else {
        let end = value.find([';', ',']).unwrap_or(value.len());
        let (value, after) = value.split_at(end);
        return (name, value.trim(), after);
    };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (value, after) = quoted.split_at(at);
                return (name, value, after.strip_prefix('"').unwrap_or_default());
            }
            _ => {}
        }
    }
    (name, quoted, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::fuzz::target;

    #[test]
    fn next_is_found_as_servers_write_it() {
        for (header, found) in [
            (
                r#"<https://a/?page=2>; rel="next", <https://a/?page=5>; rel="last""#,
                Some("https://a/?page=2"),
            ),
            (r#"<https://a/1>; rel="prev", <https://a/3>; rel="next""#, Some("https://a/3")),
            (r#"<https://a/1>;rel=next"#, Some("https://a/1")),
            (r#"<https://a/1> ; REL="first NEXT" "#, Some("https://a/1")),
            (
                r#"<https://a/1,2;3>; title="a, b; rel=\"next\""; rel=prev, </x>; rel=next"#,
                Some("/x"),
            ),
            (r#"<https://a/1>; rel="last"; rel="next""#, None),
            (r#"<https://a/1>; rel="nextish""#, None),
            (r#"<https://a/1>; title="rel=next"#, None),
            ("https://a/1; rel=next", None),
            ("<https://a/1; rel=next", None),
            ("", None),
            (",,,<>;;;=;rel", None),
        ] {
            assert_eq!(next([header]), found, "{header}");
        }
        assert_eq!(next(["<a>; rel=prev", "<b>; rel=next"]), Some("b"));
    }

    #[test]
    fn no_answer_makes_a_reader_fall() {
        const REAL: &str = "<https://api.github.com/repositories/1296269/pulls?state=open&page=2>; \
            rel=\"next\", <https://api.github.com/repositories/1296269/pulls?state=open&page=7>; \
            rel=\"last\"";
        let read = target("Link", &[REAL.as_bytes()], |header| {
            let header = String::from_utf8_lossy(header);
            next([&*header]).is_some_and(|target| header.contains(target))
        });
        assert!(read > 1_000, "{read}");
    }

    const PARTS: [&str; 15] = [
        "<",
        ">",
        ";",
        ",",
        "=",
        "\"",
        "\\",
        " ",
        "a",
        "rel",
        "next",
        "https://a/",
        "\u{e9}",
        "\t",
        "\u{0}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

        /// Whatever stands there: an end, and nothing that the header does not hold.
        #[test]
        fn any_header_is_read(parts in prop::collection::vec(0..PARTS.len(), 0..30)) {
            let header: String = parts.iter().filter_map(|at| PARTS.get(*at)).copied().collect();
            if let Some(target) = next([header.as_str()]) {
                let target = format!("<{target}>");
                prop_assert!(header.contains(&target));
            }
        }
    }
}
