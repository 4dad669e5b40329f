//! How often an address may ask: exactly within this isolate, and across a location where the platform's rate limiter is
//! bound. Both let through when they cannot tell.

use std::cell::RefCell;

use shared::{
    api::{ApiError, ErrorCode},
    limits::ip::{IpLimiter, client_key},
};

use super::Front;
use crate::{platform, reply::Failure};

/// Addresses remembered at once, a few megabytes at most.
const MAX_ADDRESSES: usize = 50_000;
/// The platform's rate limiter, where it is bound.
const BINDING: &str = "RATE_LIMITER";
/// Requests and milliseconds the binding was given in `wrangler.toml`; the platform knows no variables there, so it is asked
/// only when the variables say the same.
const BINDING_LIMIT: (u32, u32) = (100, 60_000);

thread_local! {
    static LIMITER: RefCell<Option<IpLimiter>> = const { RefCell::new(None) };
}

/// Counts a request of the client's address.
pub(super) async fn check(front: &Front) -> Result<(), Failure> {
    let key = client_key(&front.client_ip);
    LIMITER.with_borrow_mut(|limiter| {
        let config = &front.config;
        limiter
            .get_or_insert_with(|| {
                IpLimiter::new(config.rate_limit_requests, config.rate_limit_window_ms, MAX_ADDRESSES)
            })
            .check(key, platform::now())
            .into_result()
    })?;
    if (front.config.rate_limit_requests, front.config.rate_limit_window_ms) != BINDING_LIMIT {
        return Ok(());
    }
    let Ok(platform_limiter) = front.env.rate_limiter(BINDING) else {
        return Ok(());
    };
    match platform_limiter.limit(key.to_string()).await {
        Ok(outcome) if !outcome.success => {
            let window_s = u64::from(front.config.rate_limit_window_ms / 1_000);
            Err(ApiError::from(ErrorCode::RateLimited).retry_after(window_s).into())
        }
        _ => Ok(()),
    }
}
