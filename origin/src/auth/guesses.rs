//! Guesses at passwords, codes and tokens. Each is counted as a wrong one before it is checked, so that any number at once are
//! limited; the count is undone unless it was wrong.

use std::sync::Arc;

use shared::{address::Address, auth::Claims, limits::ip::network};

use super::{
    Auth, AuthError, Requester,
    throttle::{Guesser, Way},
};
use crate::detached::detached;

impl Auth {
    /// Counts a guess and checks it, to the end also when the request is given up. The check returns `None` when it was wrong.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::RateLimited`], and when the check does.
    pub(super) async fn guess<T: Send + 'static>(
        self: &Arc<Self>,
        guesser: Guesser,
        check: impl Future<Output = Result<Option<T>, AuthError>> + Send + 'static,
    ) -> Result<Option<T>, AuthError> {
        let auth = Arc::clone(self);
        detached(async move {
            let (throttle, store) = (&auth.throttle, &*auth.ephemeral);
            let counted = throttle.begin_guess(store, guesser, auth.clock.now()).await?;
            let outcome = check.await;
            if matches!(outcome, Ok(None)) {
                throttle.end_wrong_guess(store, counted, auth.clock.now()).await;
            } else {
                throttle.undo_guess(store, counted, auth.clock.now()).await;
            }
            outcome
        })
        .await?
    }

    /// Returns whose guess at a code of this address this is: that of a device which signed in to its account before, or anybody's.
    pub(super) async fn code_guesser(
        &self,
        requester: &Requester,
        address: &Address,
        shown: Option<&Claims>,
    ) -> Result<Guesser, AuthError> {
        let ip = &requester.ip;
        let network = network(ip).map(|network| network.to_string());
        let owner = self.accounts.address_owner(address.clone(), network).await?;
        let Some(owner) = owner else { return Ok(Guesser::stranger(Way::Code, ip, address.as_str())) };
        Ok(match shown.filter(|claims| claims.sub == owner.user_id) {
            Some(claims) => Guesser::with_session(Way::Code, claims.sid),
            None if owner.is_known_network => Guesser::in_known_network(Way::Code, ip, owner.user_id),
            None => Guesser::stranger(Way::Code, ip, address.as_str()),
        })
    }
}
