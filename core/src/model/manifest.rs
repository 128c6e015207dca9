//! Stub of the manifest types.
use super::identity::Name;
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    Commit(String),
    Tag(String),
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vcs {
    Git { url: String, branch: Option<Name>, pin: Option<Pin> },
    Other { kind: String, url: Option<String> },
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: Name,
    pub vcs: Vcs,
    pub directory: Option<String>,
    pub path: Option<String>,
    pub depends_on: Vec<Name>,
    pub override_key: Name,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionRepository {
    pub name: Name,
    pub vcs: Vcs,
    pub directory: Option<String>,
    pub override_key: Name,
}
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub packages: Vec<Package>,
    pub definitions: Vec<DefinitionRepository>,
}
