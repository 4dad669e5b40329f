//! Requests by client address: fixed windows in a table of bounded size.
//!
//! The table fails open: it forgets before it grows or denies. An address shares its count with its whole IPv6 /64, the
//! smallest network a subscriber gets; clients without a readable address share one count.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::window::{FixedWindow, WindowState};
use crate::{
    api::error::{ApiError, ErrorCode, LimitState},
    time::Timestamp,
};

/// The name of the limit in headers.
pub const POLICY: &str = "ip";
/// The first 64 bits of an IPv6 address.
const NETWORK_MASK: u128 = !0 << 64;
/// The first 48 bits of an IPv6 address.
const SITE_MASK: u128 = !0 << 80;
/// The first 24 bits of an IPv4 address.
const BLOCK_MASK: u32 = !0 << 8;

/// The subject that a request is counted for. It is written as `203.0.113.7`, `2001:db8:1:2::/64` or `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    V4(Ipv4Addr),
    V6Network(Ipv6Addr),
    Unknown,
}

/// Returns the subject that a request from this address is counted for. An IPv4 address within IPv6 is the IPv4 address.
pub fn client_key(address: &str) -> ClientKey {
    ClientKey(match address.trim().parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => Kind::V4(address),
        Ok(IpAddr::V6(address)) => Kind::V6Network(Ipv6Addr::from_bits(address.to_bits() & NETWORK_MASK)),
        Err(_) => Kind::Unknown,
    })
}

/// Returns an address as it is stored and shown; `None` when it cannot be read. An IPv4 address within IPv6 is the IPv4 address.
pub fn canonical(address: &str) -> Option<String> {
    Some(address.trim().parse::<IpAddr>().ok()?.to_canonical().to_string())
}

/// The network around an address, as somebody gets one who may choose addresses within it. It is written as `203.0.113.0/24`
/// or `2001:db8:1::/48`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

/// Returns the network around an address: the IPv4 /24, which is the smallest that is routed, or the IPv6 /48, which is what a
/// site is given. `None` when the address cannot be read.
pub fn network(address: &str) -> Option<Network> {
    Some(Network(match address.trim().parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & BLOCK_MASK)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SITE_MASK)),
    }))
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}/24"),
            IpAddr::V6(address) => write!(f, "{address}/48"),
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::V4(address) => address.fmt(f),
            Kind::V6Network(network) => write!(f, "{network}/64"),
            Kind::Unknown => f.write_str("unknown"),
        }
    }
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpDecision {
    /// True when it may run.
    pub allowed: bool,
    /// The state of the limit, for the headers.
    pub limit: LimitState,
}

impl IpDecision {
    /// Returns the state of the limit. Fails with a 429 for a request that may not run.
    pub fn into_result(self) -> Result<LimitState, ApiError> {
        if self.allowed {
            return Ok(self.limit);
        }
        Err(ApiError::from(ErrorCode::RateLimited).retry_after(self.limit.reset_s).limited_by(self.limit))
    }
}

/// Counts requests by client in windows that start with a client's first request.
#[derive(Debug)]
pub struct IpLimiter {
    window: FixedWindow,
    max_entries: usize,
    windows: HashMap<ClientKey, WindowState>,
    /// The clients of `windows`, each once, by the start of their window: all windows are equally long, so they also
    /// close in this order.
    order: VecDeque<ClientKey>,
    /// The latest time seen: a clock that is set back a little does not disturb the order.
    latest: Timestamp,
}

impl IpLimiter {
    /// A limiter for `limit` requests in `window_ms` milliseconds that remembers at most `max_entries` clients.
    pub fn new(limit: u32, window_ms: u32, max_entries: usize) -> Self {
        Self {
            window: FixedWindow::new(limit, window_ms),
            max_entries,
            windows: HashMap::new(),
            order: VecDeque::new(),
            latest: Timestamp::from_millis(i64::MIN),
        }
    }

    /// Decides on a request. When the table is full, the client whose window is the oldest is forgotten; a table that
    /// holds nothing allows everything. Amortised, it takes constant time.
    pub fn check(&mut self, key: ClientKey, now: Timestamp) -> IpDecision {
        let now = self.advance(now);
        let known = self.windows.get(&key).copied();
        let decision = self.window.check(known, now);
        let limit = self.window.limit_state(POLICY, &decision);
        if known.is_none() && !self.make_room() {
            return IpDecision { allowed: true, limit };
        }
        if known.is_none() {
            self.order.push_back(key);
        }
        self.windows.insert(key, decision.state);
        IpDecision { allowed: decision.allowed, limit }
    }

    /// Forgets all windows that are closed and tells the time to count with.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        if now < self.latest && !self.window.is_open(self.latest, now) {
            // The clock was set back by more than a window: what was counted says nothing any more.
            self.windows.clear();
            self.order.clear();
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        while let Some(oldest) = self.order.front() {
            if self
                .windows
                .get(oldest)
                .is_some_and(|state| self.window.is_open(state.started_at, self.latest))
            {
                break;
            }
            self.forget_oldest();
        }
        self.latest
    }

    /// Makes room for one more client, if the table may hold any.
    fn make_room(&mut self) -> bool {
        if self.max_entries > 0 && self.order.len() >= self.max_entries {
            self.forget_oldest();
        }
        self.order.len() < self.max_entries
    }

    fn forget_oldest(&mut self) {
        if let Some(key) = self.order.pop_front() {
            self.windows.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
