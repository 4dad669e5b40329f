//! Addresses and variables of a session: decided before anything is built or started.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, anyhow, bail};

use super::ports;
use crate::settings::Settings;

const WORKER_PORT: u16 = 8787;
const ORIGIN_PORT: u16 = 8080;
/// Enough that nobody who tries EdgeChat meets the basic plan's limit (5).
const DAILY_LIMIT: &str = "1000";

/// Addresses and variables of a development session.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The parts' variables; secrets and the scripted provider's address come later.
    pub(super) settings: Settings,
    /// The Worker's address.
    pub(super) worker: SocketAddr,
    /// The address that the origin listens on.
    pub(super) origin: SocketAddr,
    /// True when Gemini is the real one.
    pub(super) real_provider: bool,
    /// Sentences for the user.
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// Completes the user's variables with what development takes for granted.
    ///
    /// # Errors
    /// Fails with one sentence that names the variable that is wrong, and what it should hold.
    pub(super) fn new(mut settings: Settings) -> Result<Self> {
        let mut notes = Vec::new();
        let worker = loopback(settings.port("EDGECHAT_PORT", WORKER_PORT)?);
        let origin = match settings.get("LISTEN_ADDR") {
            Some(held) => held.trim().parse().map_err(|_| {
                anyhow!("LISTEN_ADDR is `{held}`, and should be an address with a port, such as 127.0.0.1:{ORIGIN_PORT}")
            })?,
            None => loopback(settings.port("ORIGIN_PORT", ORIGIN_PORT)?),
        };
        settings.set("LISTEN_ADDR", origin.to_string());
        settings.set("ORIGIN_URL", format!("http://{}", reachable(origin)));
        settings.set("EDGE_URL", format!("http://{worker}"));
        settings.set_default("PUBLIC_URL", format!("http://{worker}"));
        settings.set_default("DATABASE_URL", "sqlite://.edgechat/edgechat.db");
        settings.set_default("EDGECHAT_ENV", "development");
        settings.alias("JWT_SECRET", "SECRET_KEY");
        settings.alias("GEMINI_API_KEY", "GOOGLE_API_KEY");
        if settings.set_default("BASIC_TIER_DAILY_LIMIT", DAILY_LIMIT) {
            notes.push(format!("BASIC_TIER_DAILY_LIMIT is unset: {DAILY_LIMIT} messages a day here, not 5"));
        }
        if settings.set_default("SIGN_UP_DAILY_LIMIT", "0") {
            notes.push("SIGN_UP_DAILY_LIMIT is unset: sign-ups without limit here, not 20 a day".to_owned());
        }
        let real_provider = settings.get("GEMINI_API_KEY").is_some();
        if !real_provider && settings.get("GEMINI_API_BASE").is_some() {
            notes.push("GEMINI_API_BASE is not used, because GEMINI_API_KEY is unset".to_owned());
        }
        Ok(Self { settings, worker, origin, real_provider, notes })
    }

    /// Makes sure that both addresses are free.
    pub(super) fn require_free_ports(&self) -> Result<()> {
        if self.worker.port() == self.origin.port() {
            let port = self.worker.port();
            bail!(
                "Worker and origin would both listen on port {port}: choose another with EDGECHAT_PORT or ORIGIN_PORT"
            );
        }
        ports::require_free("Worker", self.worker, "EDGECHAT_PORT")?;
        let variable =
            if self.origin.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) { "ORIGIN_PORT" } else { "LISTEN_ADDR" };
        ports::require_free("origin", self.origin, variable)
    }

    /// Returns the address at which this machine reaches the origin.
    pub(super) fn origin_address(&self) -> SocketAddr {
        reachable(self.origin)
    }

    /// Lets the Worker call the scripted provider.
    pub(super) fn use_scripted_provider(&mut self, base: &str) {
        self.settings.set("GEMINI_API_BASE", base);
        self.settings.set("GEMINI_API_KEY", "scripted");
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The loopback address instead of "every address", to which nothing can connect everywhere.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { loopback(address.port()) } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(list: &[(&str, &str)]) -> Result<Plan> {
        let pairs = list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Plan::new(Settings::merged([], pairs))
    }

    #[test]
    fn plan_without_variables_has_defaults() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.worker, "127.0.0.1:8787".parse().unwrap());
        assert_eq!(plan.settings.get("LISTEN_ADDR"), Some("127.0.0.1:8080"));
        assert_eq!(plan.settings.get("ORIGIN_URL"), Some("http://127.0.0.1:8080"));
        assert_eq!(plan.settings.get("PUBLIC_URL"), Some("http://127.0.0.1:8787"));
        assert_eq!(plan.settings.get("DATABASE_URL"), Some("sqlite://.edgechat/edgechat.db"));
        assert_eq!(plan.settings.get("EDGECHAT_ENV"), Some("development"));
        assert_eq!(plan.settings.get("BASIC_TIER_DAILY_LIMIT"), Some("1000"));
        assert_eq!(plan.settings.get("SIGN_UP_DAILY_LIMIT"), Some("0"));
        assert!(!plan.real_provider);
        assert!(plan.notes[0].contains("BASIC_TIER_DAILY_LIMIT"));
    }

    #[test]
    fn ports_and_address_can_be_chosen() {
        let chosen = plan(&[("EDGECHAT_PORT", "9000"), ("ORIGIN_PORT", "9001")]).unwrap();
        assert_eq!((chosen.worker.port(), chosen.origin_address().port()), (9000, 9001));
        let anywhere = plan(&[("LISTEN_ADDR", "0.0.0.0:9002"), ("ORIGIN_PORT", "9001")]).unwrap();
        assert_eq!(anywhere.settings.get("LISTEN_ADDR"), Some("0.0.0.0:9002"));
        assert_eq!(anywhere.settings.get("ORIGIN_URL"), Some("http://127.0.0.1:9002"));
        let error = plan(&[("LISTEN_ADDR", "9002")]).unwrap_err().to_string();
        assert!(error.starts_with("LISTEN_ADDR is `9002`") && error.contains("127.0.0.1:8080"), "{error}");
    }

    #[test]
    fn worker_and_origin_on_one_port_are_refused() {
        let error = plan(&[("ORIGIN_PORT", "8787")]).unwrap().require_free_ports().unwrap_err().to_string();
        assert!(error.starts_with("Worker and origin would both listen on port 8787"), "{error}");
    }

    #[test]
    fn key_of_either_name_makes_the_provider_real() {
        let real = plan(&[("GOOGLE_API_KEY", "k"), ("GEMINI_API_BASE", "http://base")]).unwrap();
        assert!(real.real_provider);
        assert_eq!(real.settings.get("GEMINI_API_KEY"), Some("k"));
        assert_eq!(real.settings.get("GEMINI_API_BASE"), Some("http://base"));
    }

    #[test]
    fn plan_without_a_key_uses_the_scripted_provider() {
        let mut scripted = plan(&[
            ("GEMINI_API_BASE", "http://base"),
            ("BASIC_TIER_DAILY_LIMIT", "3"),
            ("SIGN_UP_DAILY_LIMIT", "4"),
        ])
        .unwrap();
        assert_eq!(scripted.notes, ["GEMINI_API_BASE is not used, because GEMINI_API_KEY is unset"]);
        assert_eq!(scripted.settings.get("BASIC_TIER_DAILY_LIMIT"), Some("3"));
        scripted.use_scripted_provider("http://127.0.0.1:5");
        assert_eq!(scripted.settings.get("GEMINI_API_BASE"), Some("http://127.0.0.1:5"));
    }
}
