//! Documents that users agree to.

use shared::{
    api::account::{AccountEventKind, Consent, GiveConsent, consent::MAX_CONSENTS},
    auth::{
        Claims,
        consents::{AcceptedVersion, RequiredDocument, item, list, missing},
    },
    id::Id,
};

use super::{Auth, AuthError, Requester};
use crate::store::accounts::consents::ConsentOutcome;

impl Auth {
    /// Returns the documents that this server requires, and those that a user has agreed to.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn consents(&self, user_id: Id) -> Result<Vec<Consent>, AuthError> {
        Ok(list(&self.required_documents, &self.accounts.consents(user_id).await?))
    }

    /// Returns the documents that a user is to agree to before words of theirs go to a model.
    ///
    /// # Errors
    ///
    /// Fails when the store does.
    pub async fn missing_consents(&self, user_id: Id) -> Result<Vec<RequiredDocument>, AuthError> {
        if self.required_documents.is_empty() {
            return Ok(Vec::new());
        }
        Ok(missing(&self.required_documents, &self.accounts.consents(user_id).await?))
    }

    /// Records that a token's user has agreed to a version of a document. Returns it with the time at which they did so first, and
    /// true when that is now.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::TooManyConsents`], and with [`AuthError::SessionEnded`] when the user is gone.
    pub async fn give_consent(
        &self,
        claims: &Claims,
        given: GiveConsent,
        requester: &Requester,
    ) -> Result<(Consent, bool), AuthError> {
        let (user_id, now) = (claims.sub, self.clock.now());
        let kind = AccountEventKind::ConsentGiven;
        let audit = self.audit_event(user_id, kind, Some(claims.sid), requester, now);
        let GiveConsent { document, version } = given;
        let mut accepted = AcceptedVersion { document, version, accepted_at: now };
        let outcome = self.accounts.give_consent(user_id, accepted.clone(), MAX_CONSENTS, audit).await?;
        let is_new = match outcome {
            ConsentOutcome::Given => true,
            ConsentOutcome::Known(since) => {
                accepted.accepted_at = since;
                false
            }
            ConsentOutcome::TooMany => return Err(AuthError::TooManyConsents),
            ConsentOutcome::NoUser => return Err(AuthError::SessionEnded),
        };
        let required = self.required_documents.iter().find(|known| known.document == accepted.document);
        let current = required.map(|required| required.version.as_str());
        Ok((item(&accepted.document, current, Some(&accepted)), is_new))
    }
}
