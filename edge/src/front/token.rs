//! Verification of access tokens: the rules of `shared::auth`, the signature by the platform.

use std::{cell::RefCell, collections::HashMap};

use shared::{
    api::ApiError,
    auth::{
        claims::Claims,
        token::{self, TokenError},
    },
    time::Timestamp,
};

use super::{Front, keys};
use crate::{
    platform::{self, Incoming, VerifyingKey},
    reply::Error,
};

/// The number of recently verified tokens in memory.
const REMEMBERED: usize = 1_024;

/// A verified token and its claims.
pub(super) struct Verified {
    pub(super) token: String,
    pub(super) claims: Claims,
    pub(super) at: Timestamp,
}

thread_local! {
    /// Verified tokens and the id of the key that signed them. A signature stays true as long as its key is known; times
    /// are checked at every use.
    static SEEN: RefCell<HashMap<String, String>> = RefCell::default();
}

/// Returns the verified claims of the request's bearer token.
pub(super) async fn verified(front: &Front, request: &Incoming) -> Result<Verified, Error> {
    let bearer = token::bearer(request.header("Authorization")).map_err(ApiError::from)?;
    let unverified = token::parse(bearer).map_err(ApiError::from)?;
    let key = keys::find(front, &unverified.kid)
        .await?
        .ok_or_else(|| ApiError::from(TokenError::Invalid("unknown key")))?;
    let seen = SEEN.with_borrow(|seen| seen.get(bearer).is_some_and(|kid| *kid == unverified.kid));
    if !seen {
        verify(&key, &unverified).await?;
        SEEN.with_borrow_mut(|seen| {
            if seen.len() >= REMEMBERED {
                seen.clear();
            }
            seen.insert(bearer.to_owned(), unverified.kid.clone());
        });
    }
    let at = platform::now();
    let claims = unverified.into_claims_once_verified(at).map_err(ApiError::from)?;
    Ok(Verified { token: bearer.to_owned(), claims, at })
}

async fn verify(key: &VerifyingKey, unverified: &token::UnverifiedToken<'_>) -> Result<(), Error> {
    if key.verify(&unverified.signature, unverified.signing_input.as_bytes()).await? {
        Ok(())
    } else {
        Err(ApiError::from(TokenError::Invalid("signature")).into())
    }
}
