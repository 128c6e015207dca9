//! One notification that carries nothing and coalesces.

use std::sync::Arc;

use tokio::sync::Notify;

/// Says "look sooner". Waking twice before somebody looked is waking once; nothing is lost by losing
/// one, since everything is looked at periodically anyway.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// A fresh notification.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a look.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody asked.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}
