//! Makes what asks forges with an API, by the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{ForgeKind, ForgeSettings, Settings};

use crate::board::Board;
use crate::clock::Clock;
use crate::config::Secrets;
use crate::forge::Apis;
use crate::forge::github::{App, BodyReader, DEADLINE, GitHub, body_reader};
use crate::forge::governor::Governor;
use crate::forge::several::{Installations, Member, Several};
use crate::http::conditional::{Bounds, Conditional};
use crate::http::{Bearer, HttpClient};
use crate::task::Tasks;

/// What all of them share.
pub(super) struct Means {
    pub(super) client: HttpClient,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) governor: Governor,
    pub(super) secrets: Arc<Secrets>,
}

impl Means {
    /// One API for each forge that has one, by its identity. One that cannot be made is said and left
    /// out, the others go on. With a folder, answers are kept over restarts.
    pub(super) async fn forge_apis(
        &self,
        settings: &Arc<Settings>,
        folder: Option<PathBuf>,
        board: &Board,
    ) -> Apis {
        let mut apis = Apis::new();
        let mut broken: BTreeMap<Name, String> = BTreeMap::new();
        if settings.forges.values().all(|forge| forge.kind.git().is_some()) {
            return apis;
        }
        // What was read from bodies is kept beside the answers, and depends on which forges there are.
        let ask = Conditional::new(
            self.client.clone(),
            self.clock.clone(),
            self.tasks.clone(),
            Some(Arc::new(self.governor.clone())),
            folder,
            Bounds::default(),
        )
        .await;
        let reader = body_reader(Arc::clone(settings));
        for (name, forge) in &settings.forges {
            let ForgeKind::GitHub(_) = &forge.kind else { continue };
            match self.github(forge, &ask, &reader) {
                Ok(api) => {
                    apis.insert(forge.identity.to_string(), Arc::new(api));
                }
                Err(why) => {
                    tracing::error!(forge = %name, why, "a forge cannot be asked");
                    broken.insert(name.clone(), why);
                }
            }
        }
        board.update(|board| {
            for name in settings.forges.keys() {
                let status = board.forges.entry(name.clone()).or_default();
                status.broken = broken.get(name).cloned();
            }
        });
        apis
    }

    /// A GitHub with all its credentials. A token that cannot be read is no reason to do without the
    /// others, but without any there is no forge: it would be asked as anybody.
    fn github(
        &self,
        forge: &ForgeSettings,
        ask: &Conditional,
        reader: &BodyReader,
    ) -> Result<Several, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let with = |credential| {
            let api = GitHub::by(DEADLINE, forge, credential, ask.clone(), Arc::clone(reader));
            api.map_err(|error| text(&error))
        };
        let (mut members, mut broken) = (Vec::new(), None);
        for token in &forge.tokens {
            // One alone is called by the forge's name.
            let alone = forge.tokens.len() == 1 && forge.app.is_none();
            let name =
                if alone { forge.name.to_string() } else { format!("{}: {token}", forge.name) };
            match self.secrets.resolve(token).map_err(|error| text(&error)) {
                Ok(token) => {
                    let api = Arc::new(with(Some((name.clone(), Bearer::new(token))))?);
                    members.push(Member { name, api, renewal: None });
                }
                Err(why) => {
                    tracing::error!(forge = %forge.name, why, "a credential cannot be used");
                    broken = Some(why);
                }
            }
        }
        let app = forge.app.as_ref().map(|app| {
            let key = self.secrets.resolve(&app.key).map_err(|error| text(&error))?;
            let (clock, ask) = (self.clock.clone(), ask.clone());
            App::new(forge, app, &key, clock, ask, Arc::clone(reader)).map_err(|error| text(&error))
        });
        let app = match app.transpose() {
            Ok(app) => app,
            Err(why) if members.is_empty() => return Err(why),
            Err(why) => {
                tracing::error!(forge = %forge.name, why, "an application cannot be used");
                None
            }
        };
        let app = app.map(|app| Arc::new(app) as Arc<dyn Installations>);
        match broken {
            Some(why) if members.is_empty() && app.is_none() => return Err(why),
            None if members.is_empty() && app.is_none() => {
                let api = Arc::new(with(None)?);
                members.push(Member { name: String::new(), api, renewal: None });
            }
            _ => {}
        }
        Ok(Several::new(self.clock.clone(), members, app))
    }
}
