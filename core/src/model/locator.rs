//! Which repository an address means: every spelling of one repository gives one identity.

mod address;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use self::address::{Address, encoded, parse, segments};
use super::identity::{Name, RepositoryId};
use super::settings::{ForgeSettings, Settings};

/// The configured forges, ready to be matched against addresses.
#[derive(Clone, Debug)]
pub struct Locator {
    servers: Vec<Server>,
    /// What addresses turned out to mean: plans ask for the same ones again and again.
    memo: Arc<Mutex<BTreeMap<Box<str>, Located>>>,
}

/// Addresses whose meaning is remembered at most.
const REMEMBERED: usize = 100_000;

/// What an address means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// A repository of a configured forge.
    Repository {
        /// Its identity.
        id: RepositoryId,
        /// Its path as the address spells it, for people.
        spelling: Name,
        /// What to fetch from, without a password or, over HTTP, a user.
        url: Name,
    },
    /// Nothing that is watched.
    Unwatched {
        /// Why, as a fragment for people; it never repeats a user or a password.
        reason: String,
    },
}

/// A forge by one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    forge: Name,
    identity: Name,
    url: String,
    prefixes: Vec<Address>,
    folds: bool,
}

impl Locator {
    /// Of the forges of a configuration.
    pub fn new(settings: &Settings) -> Self {
        Self::of_forges(settings.forges.values().map(AsRef::as_ref))
    }

    /// Of some forges. An `also` that is no address matches nothing; the configuration refuses those.
    pub fn of_forges<'a>(forges: impl IntoIterator<Item = &'a ForgeSettings>) -> Self {
        let servers = forges.into_iter().map(|forge| Server {
            forge: forge.name.clone(),
            identity: forge.identity.clone(),
            url: forge.url.trim_end_matches('/').to_owned(),
            prefixes: std::iter::once(&forge.url)
                .chain(&forge.also)
                .filter_map(|prefix| parse(prefix).ok())
                .collect(),
            folds: forge.kind.folds(),
        });
        Self { servers: servers.collect(), memo: Arc::default() }
    }

    /// What `url` means. Of several forges that match, the one with the longest prefix counts.
    pub fn locate(&self, url: &str) -> Located {
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memo.get(url) {
            return known.clone();
        }
        let located = self.located(url);
        if memo.len() >= REMEMBERED {
            memo.clear();
        }
        memo.insert(url.into(), located.clone());
        located
    }

    fn located(&self, url: &str) -> Located {
        let address = match parse(url) {
            Ok(address) => address,
            Err(reason) => return Located::Unwatched { reason },
        };
        let best = self
            .servers
            .iter()
            .flat_map(|server| server.prefixes.iter().map(move |prefix| (server, prefix)))
            .filter_map(|(server, prefix)| {
                let rest = address.under(prefix, server.folds)?;
                Some((server, prefix, rest))
            })
            .max_by_key(|(_, prefix, _)| prefix.path.len());
        let Some((server, _, rest)) = best else {
            let reason = match &address.host {
                Some(host) => format!("no configured forge serves it on {host}"),
                None => "no configured forge serves this local path".to_owned(),
            };
            return Located::Unwatched { reason };
        };
        let (Some(id), Some(spelling)) = (server.id(rest), without_ending(rest)) else {
            return Located::Unwatched { reason: "it names a forge, not a repository".to_owned() };
        };
        Located::Repository {
            id,
            spelling: spelling.join("/").into(),
            url: server.fetch(url, &address, rest).into(),
        }
    }

    /// The repository `path` of the forge of that name or identity; `None` where there is no such
    /// forge, an error where `path` can be no repository's.
    pub fn on_forge(&self, forge: &str, path: &str) -> Option<Result<RepositoryId, String>> {
        let server = self
            .servers
            .iter()
            .find(|server| *server.identity == *forge)
            .or_else(|| self.servers.iter().find(|server| *server.forge == *forge))?;
        Some(
            segments(path, false).and_then(|path| {
                server.id(&path).ok_or_else(|| "it names no repository".to_owned())
            }),
        )
    }

    /// Addresses under which git may be told of the repository `id`, whose path people write as
    /// `spelling`: those under each prefix of its forge, with `.git`. None lies on this machine.
    pub fn spellings(&self, id: &RepositoryId, spelling: &str) -> BTreeSet<String> {
        let Ok(path) = segments(spelling, false) else { return BTreeSet::new() };
        self.servers
            .iter()
            .filter(|server| server.identity == id.forge && server.id(&path).as_ref() == Some(id))
            .flat_map(|server| &server.prefixes)
            .flat_map(|prefix| prefix.spelled(&path))
            .collect()
    }

    /// Names and identities of the forges, for messages.
    pub fn forges(&self) -> BTreeSet<&str> {
        self.servers.iter().map(|server| server.forge.as_str()).collect()
    }
}

impl Server {
    fn id(&self, path: &[String]) -> Option<RepositoryId> {
        let path = without_ending(path)?.join("/");
        let path = if self.folds { path.to_lowercase() } else { path };
        Some(RepositoryId::new(self.identity.clone(), path))
    }

    /// The address as written where the forge is spoken to in the same way; otherwise the same path
    /// under the forge's own address, since only that is known to answer.
    fn fetch(&self, written: &str, address: &Address, rest: &[String]) -> String {
        let own = self.prefixes.first();
        let same = own.is_some_and(|own| own.scheme == address.scheme);
        if same && address.is_url && !address.http_user {
            return written.to_owned();
        }
        format!("{}/{}", self.url, encoded(rest))
    }
}

/// The path without its `.git`; `None` if nothing is left.
fn without_ending(path: &[String]) -> Option<Vec<String>> {
    let mut path = path.to_vec();
    while let Some(last) = path.pop() {
        let mut name = last.as_str();
        while let Some(shorter) = name.strip_suffix(".git") {
            name = shorter;
        }
        if !name.is_empty() {
            path.push(name.to_owned());
            return Some(path);
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests;
