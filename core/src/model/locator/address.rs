//! Addresses of repositories taken apart: URLs, the scp form, and local paths.

const MAX_URL: usize = 4096;

/// An address without what never makes a second repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// How it is reached.
    pub(super) scheme: Scheme,
    /// Lower case, without `www.`; none for files.
    pub(super) host: Option<String>,
    /// Unless it is the scheme's own.
    pub(super) port: Option<u16>,
    /// Decoded, without empty parts.
    pub(super) path: Vec<String>,
    /// Written as `scheme://…`.
    pub(super) is_url: bool,
    /// An HTTP address with a user, which may be a token.
    pub(super) http_user: bool,
}

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    File,
    Git,
    Http,
    Https,
    Ssh,
}

impl Address {
    /// The path below `prefix`, if this address is there.
    pub(super) fn under(&self, prefix: &Self, folds: bool) -> Option<&[String]> {
        if self.host != prefix.host || self.port != prefix.port {
            return None;
        }
        let (head, rest) = self.path.split_at_checked(prefix.path.len())?;
        let same = head
            .iter()
            .zip(&prefix.path)
            .all(|(a, b)| a == b || (folds && a.to_lowercase() == b.to_lowercase()));
        (same && !rest.is_empty()).then_some(rest)
    }

    /// The ways to write the repository `path` below this prefix. A port belongs to one scheme; on
    /// the usual ports one host answers over all of them.
    pub(super) fn spelled(&self, path: &[String]) -> Vec<String> {
        let Some(host) = &self.host else { return Vec::new() };
        let whole: Vec<String> = self.path.iter().chain(path).cloned().collect();
        let (url, plain) = (encoded(&whole), whole.join("/"));
        let place = self.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let own = match self.scheme {
            Scheme::File => return Vec::new(),
            Scheme::Git => "git://",
            Scheme::Http => "http://",
            Scheme::Https => "https://",
            Scheme::Ssh => "ssh://git@",
        };
        let mut all = vec![format!("{own}{place}/{url}.git")];
        if self.port.is_none() {
            let schemes = ["https://", "http://", "ssh://git@", "git://"];
            all.extend(schemes.map(|scheme| format!("{scheme}{host}/{url}.git")));
            all.push(format!("git@{host}:{plain}.git"));
        }
        all
    }
}

/// Takes an address apart, or says why nothing may be fetched from it.
pub(super) fn parse(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Err("it has no address".to_owned());
    }
    if text.len() > MAX_URL {
        return Err(format!("its address is longer than {MAX_URL} bytes"));
    }
    if text.chars().any(|c| c.is_control()) || text.trim() != text {
        return Err("its address has control characters or white space around it".to_owned());
    }
    if text.starts_with('-') {
        return Err("its address begins with `-`".to_owned());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return url(scheme, rest);
    }
    if text.starts_with('/') {
        return Ok(Address {
            scheme: Scheme::File,
            host: None,
            port: None,
            path: segments(text, false)?,
            is_url: false,
            http_user: false,
        });
    }
    match text.split_once(':') {
        Some((place, path)) if !place.contains('/') && !path.starts_with(['-', ':']) => {
            let (_, host) = user_and_host(place, Scheme::Ssh)?;
            Ok(Address {
                scheme: Scheme::Ssh,
                host: Some(checked_host(host)?),
                port: None,
                path: segments(path, false)?,
                is_url: false,
                http_user: false,
            })
        }
        _ => Err("its address is neither a URL, nor HOST:PATH, nor an absolute path".to_owned()),
    }
}

/// The parts of a path, decoded if it stood in a URL.
pub(super) fn segments(path: &str, decode: bool) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        let part = if decode { decoded(part)? } else { part.to_owned() };
        match part.as_str() {
            "" | "." => {}
            ".." => return Err("its path leads out with `..`".to_owned()),
            _ if part.contains('/') || part.chars().any(char::is_control) => {
                return Err("its path hides a `/` or a control character".to_owned());
            }
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

/// A path as it stands in a URL.
pub(super) fn encoded(path: &[String]) -> String {
    let mut text = String::new();
    for (index, part) in path.iter().enumerate() {
        if index > 0 {
            text.push('/');
        }
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~+@:,=!$&'()*".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}

fn url(scheme: &str, rest: &str) -> Result<Address, String> {
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "file" => Scheme::File,
        "git" => Scheme::Git,
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "ssh" | "git+ssh" | "ssh+git" => Scheme::Ssh,
        _ => {
            return Err("its address has a scheme that is not http(s), ssh, git or file".to_owned());
        }
    };
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    if matches!(scheme, Scheme::Http | Scheme::Https) && rest.contains(['?', '#']) {
        return Err("its address has a query or a fragment".to_owned());
    }
    if scheme == Scheme::File {
        if !place.is_empty() && !place.eq_ignore_ascii_case("localhost") {
            return Err("its file address names a host".to_owned());
        }
        return Ok(Address {
            scheme,
            host: None,
            port: None,
            path: segments(path, true)?,
            is_url: true,
            http_user: false,
        });
    }
    let (user, place) = user_and_host(place, scheme)?;
    let (host, port) = host_and_port(place)?;
    let usual = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
        Scheme::Ssh => 22,
        Scheme::Git | Scheme::File => 9418,
    };
    Ok(Address {
        scheme,
        host: Some(checked_host(host)?),
        port: port.filter(|port| *port != usual),
        path: segments(path, true)?,
        is_url: true,
        http_user: user && matches!(scheme, Scheme::Http | Scheme::Https),
    })
}

/// Whether there is a user, and what follows it.
fn user_and_host(place: &str, scheme: Scheme) -> Result<(bool, &str), String> {
    let Some((user, host)) = place.rsplit_once('@') else { return Ok((false, place)) };
    if user.contains(':') {
        return Err("its address carries a password; give it to the forge as `token`".to_owned());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let fits = !user.is_empty() && !user.starts_with('-') && user.chars().all(plain);
    if !fits && scheme == Scheme::Ssh {
        return Err("its address has a user that ssh could misread".to_owned());
    }
    Ok((true, host))
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (place, ""),
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|digit| digit.is_ascii_digit()) => {
            Ok((host, Some(number)))
        }
        _ => Err("its address has a wrong port".to_owned()),
    }
}

fn checked_host(host: &str) -> Result<String, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = match bare {
        Some(bare) => {
            !bare.is_empty() && bare.chars().all(|c| c.is_ascii_hexdigit() || ":.".contains(c))
        }
        None => {
            !host.is_empty()
                && !host.starts_with(['-', '.'])
                && host.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        }
    };
    if !fits {
        return Err("its address has no valid host".to_owned());
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    Ok(host.strip_prefix("www.").map(str::to_owned).unwrap_or(host))
}

fn decoded(part: &str) -> Result<String, String> {
    let wrong = || "its path has a wrong percent escape".to_owned();
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
