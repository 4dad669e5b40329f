//! The rate limit of an address: exact within this isolate, and across a location where the platform's rate limiter is bound.
//! Both fail open.

use std::cell::RefCell;

use shared::{
    api::{ApiError, ErrorCode},
    limits::{
        ip::{IpLimiter, client_key},
        shares::FixedLimiter,
        window::FixedWindow,
    },
};

use super::Front;
use crate::{platform, reply::Error};

/// The most addresses in memory, a few megabytes.
const MAX_ADDRESSES: usize = 50_000;
/// The platform's rate limiter, where it is bound.
const BINDING: &str = "RATE_LIMITER";
/// The limit of the binding, the same as in `wrangler.toml`.
const BINDING_LIMIT: FixedLimiter = FixedLimiter { limit: 100, span_ms: 60_000 };

/// The timeout of the platform's limiter; a later result is ignored.
const BINDING_TIMEOUT_MS: u64 = 500;

thread_local! {
    static LIMITER: RefCell<Option<IpLimiter>> = const { RefCell::new(None) };
    /// The first of a client's keys in the binding that this isolate uses: many isolates with one request each do not all
    /// use the same one.
    static FIRST_SHARE: u32 = u32::from_le_bytes(platform::random());
}

/// Counts a request of the client's address. The platform's limiter never refuses a request that this isolate's count allows:
/// each client has as many keys there as that takes.
pub(super) async fn check(front: &Front) -> Result<(), Error> {
    let key = client_key(&front.client_ip);
    let config = &front.config;
    let (requests, window_ms) = (config.rate_limit_requests, config.rate_limit_window_ms);
    let limit = LIMITER.with_borrow_mut(|limiter| {
        limiter
            .get_or_insert_with(|| IpLimiter::new(requests, window_ms, MAX_ADDRESSES))
            .check(key, platform::now())
            .into_result()
    })?;
    let Ok(platform_limiter) = front.env.rate_limiter(BINDING) else {
        return Ok(());
    };
    let count = u32::try_from(limit.limit.saturating_sub(limit.remaining)).unwrap_or_default();
    let shares = BINDING_LIMIT.shares(FixedWindow::new(requests, window_ms));
    let share = FIRST_SHARE.with(|first| first.wrapping_add(count)) % shares;
    let asked = platform_limiter.limit(format!("{key} {share}"));
    match platform::timeout(BINDING_TIMEOUT_MS, asked).await {
        Some(Ok(outcome)) if !outcome.success => {
            let window_s = u64::from(window_ms / 1_000);
            Err(ApiError::from(ErrorCode::RateLimited).retry_after(window_s).into())
        }
        _ => Ok(()),
    }
}
