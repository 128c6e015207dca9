//! Makes what asks forges with an API, by the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crosswatch_core::model::identity::Name;
use crosswatch_core::model::settings::{ForgeKind, Settings};

use crate::board::Board;
use crate::clock::Clock;
use crate::forge::Apis;
use crate::forge::github::{GitHub, body_reader};
use crate::forge::governor::Governor;
use crate::http::HttpClient;
use crate::http::conditional::{Bounds, Conditional};
use crate::task::Tasks;
use crate::watch::TokenReader;

/// What all of them share.
pub(super) struct Means {
    pub(super) client: HttpClient,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) governor: Governor,
    pub(super) token: TokenReader,
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
            let made = (self.token)(forge).and_then(|token| {
                GitHub::new(forge, token, ask.clone(), Arc::clone(&reader))
                    .map_err(|error| error.to_string())
            });
            match made {
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
}
