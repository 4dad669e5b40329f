//! Lifetimes and rate limits.

use super::reader::Reader;

/// The limits section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `ACCESS_TOKEN_EXPIRE_MINUTES`, default 15: minutes an access token is valid.
    pub access_token_minutes: i64,
    /// `REFRESH_TOKEN_EXPIRE_DAYS`, default 7: days an unused refresh token is valid.
    pub refresh_token_days: i64,
    /// `RATE_LIMIT_REQUESTS`, default 100: sign-ups, and sign-ins, from one address in a window.
    pub rate_limit_requests: u32,
    /// `RATE_LIMIT_WINDOW_SECONDS`, default 60: the window, in seconds.
    pub rate_limit_window_s: u32,
    /// `BASIC_TIER_DAILY_LIMIT`, default 5: messages a day of the basic plan; `None`, held as 0, is no limit.
    pub basic_tier_daily_limit: Option<u64>,
    /// `SIGN_UP_DAILY_LIMIT`, default 20: sign-ups a day from one network; `None`, held as 0, is no limit.
    pub sign_up_daily_limit: Option<u32>,
    /// `GUEST_SIGN_UPS_PER_HOUR`, default 10: guests an hour from one address, which is an IPv4 address or an IPv6 /64; `None`,
    /// held as 0, is no limit.
    pub guest_hourly_limit: Option<u32>,
    /// `GUEST_SIGN_UPS_PER_DAY`, default 20: the same a day.
    pub guest_daily_limit: Option<u32>,
    /// `OTP_EXPIRATION_MINUTES`, default 5: minutes a one-time code is valid.
    pub code_minutes: i64,
    /// `ACCOUNT_DELETION_GRACE_DAYS`, default 30: days from the request to delete an account to its deletion; signing in undoes it.
    pub deletion_grace_days: i64,
    /// `CACHE_TTL_SECONDS`, default 300: seconds a list of conversations is cached; 0 turns that off.
    pub cache_ttl_s: i64,
}

impl LimitsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let daily = reader.number("BASIC_TIER_DAILY_LIMIT", 5, 0..=1_000_000_000);
        let sign_ups = small(reader.number("SIGN_UP_DAILY_LIMIT", 20, 0..=1_000_000_000));
        let guests_hourly = small(reader.number("GUEST_SIGN_UPS_PER_HOUR", 10, 0..=1_000_000_000));
        let guests_daily = small(reader.number("GUEST_SIGN_UPS_PER_DAY", 20, 0..=1_000_000_000));
        Self {
            access_token_minutes: small(reader.number("ACCESS_TOKEN_EXPIRE_MINUTES", 15, 1..=1_440)).into(),
            refresh_token_days: small(reader.number("REFRESH_TOKEN_EXPIRE_DAYS", 7, 1..=365)).into(),
            rate_limit_requests: small(reader.number("RATE_LIMIT_REQUESTS", 100, 1..=1_000_000)),
            rate_limit_window_s: small(reader.number("RATE_LIMIT_WINDOW_SECONDS", 60, 1..=86_400)),
            basic_tier_daily_limit: (daily > 0).then_some(daily),
            sign_up_daily_limit: (sign_ups > 0).then_some(sign_ups),
            guest_hourly_limit: (guests_hourly > 0).then_some(guests_hourly),
            guest_daily_limit: (guests_daily > 0).then_some(guests_daily),
            code_minutes: small(reader.number("OTP_EXPIRATION_MINUTES", 5, 1..=60)).into(),
            deletion_grace_days: small(reader.number("ACCOUNT_DELETION_GRACE_DAYS", 30, 0..=90)).into(),
            cache_ttl_s: small(reader.number("CACHE_TTL_SECONDS", 300, 0..=86_400)).into(),
        }
    }
}

/// Converts a number that was read within bounds of `u32`.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
