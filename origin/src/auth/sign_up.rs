//! Signing up: an account with its first session.

use std::sync::Arc;

use shared::{
    api::account::{AccountEventKind, Plan, RegisterRequest, Tokens, User},
    text::{earlier_email, normalize_email},
    time::Timestamp,
};

use super::{
    Auth, AuthError, Requester,
    passwords::own_words,
    throttle::{Guesser, Way},
};
use crate::{jobs::notify::email_verification, store::accounts::users::Registration};

impl Auth {
    /// Makes an account of somebody, and begins its first session.
    ///
    /// # Errors
    ///
    /// Fails with [`AuthError::EmailTaken`] or [`AuthError::RateLimited`].
    pub async fn sign_up(
        self: &Arc<Self>,
        requester: Requester,
        request: RegisterRequest,
    ) -> Result<Tokens, AuthError> {
        let now = self.clock.now();
        self.throttle.request(&*self.ephemeral, Way::SignUp, &requester.ip, now).await?;
        let guesser = Guesser::of_token(Way::SignUp, &requester.ip);
        let registered = self.guess(guesser, self.clone().register_counted(requester, request, now)).await?;
        registered.ok_or(AuthError::EmailTaken)
    }

    /// Registers like [`Self::register`], and takes the sign-up out of the day's count when it came to no decision, such as in
    /// an outage. A taken address is a decision: how many addresses somebody may try is limited as well.
    async fn register_counted(
        self: Arc<Self>,
        requester: Requester,
        request: RegisterRequest,
        now: Timestamp,
    ) -> Result<Option<Tokens>, AuthError> {
        self.throttle.sign_up(&*self.ephemeral, &requester.ip, now).await?;
        let outcome = self.register(&requester, request, now).await;
        if outcome.is_err() {
            self.throttle.sign_up_undecided(&*self.ephemeral, &requester.ip, self.clock.now()).await;
        }
        outcome
    }

    /// Registers; `None` when somebody has the address.
    async fn register(
        &self,
        requester: &Requester,
        request: RegisterRequest,
        now: Timestamp,
    ) -> Result<Option<Tokens>, AuthError> {
        if let Some(earlier) = earlier_email(&request.email)
            && self.accounts.credential(earlier, None).await?.is_some()
        {
            // Stored as it was typed, at a time when addresses were compared more strictly.
            return Ok(None);
        }
        let email = normalize_email(&request.email);
        let own_words = own_words(Some(&email), request.display_name.as_deref());
        let password_hash = self
            .passwords
            .hash_new(request.password, own_words, &*self.random)
            .await
            .map_err(|error| error.of_field("password"))?;
        let user =
            User { email: Some(email.clone()), display_name: request.display_name, ..self.new_user(now) };
        let opening = self.prepare_session(user.id, requester, request.device_name, now);
        let audit = self.opening_event(&opening, AccountEventKind::SignedUp, requester);
        let job = email_verification(self.random.id(now), user.id, email, now);
        let session = opening.session.clone();
        let registration = self.accounts.register(user.clone(), password_hash, session, audit, job).await?;
        self.jobs.wake();
        Ok(match registration {
            Registration::Created => Some(self.tokens_of(opening, user)),
            Registration::EmailTaken => None,
        })
    }

    /// A user who begins now, of whom nothing is known.
    pub(super) fn new_user(&self, now: Timestamp) -> User {
        User {
            id: self.random.id(now),
            email: None,
            email_verified: false,
            phone: None,
            phone_verified: false,
            display_name: None,
            avatar_url: None,
            locale: None,
            timezone: None,
            plan: Plan::Basic,
            created_at: now,
            guest: false,
        }
    }
}
