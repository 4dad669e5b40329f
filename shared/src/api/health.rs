//! Health checks, for load balancers and for people.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Whether a part works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum HealthStatus {
    /// It answers.
    Ok,
    /// It does not.
    Unavailable,
}

/// `GET health`: the process is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Always `ok`.
    pub status: HealthStatus,
}

/// One store, seen from the origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Check {
    /// Whether it answered in time.
    pub status: HealthStatus,
    /// What serves the port, such as `postgres` or `sqlite`.
    pub backend: Cow<'static, str>,
    /// How long the check took, in milliseconds.
    pub latency_ms: f64,
    /// The kind of error, such as `timeout`; `null` when all is well.
    pub error: Option<Cow<'static, str>>,
}

/// The stores of the origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checks {
    /// Users, sessions, usage.
    pub accounts: Check,
    /// Conversations and messages.
    pub chats: Check,
    /// Short-lived state.
    pub ephemeral: Check,
}

/// `GET health/ready`: whether the origin can serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// `unavailable` when a store that is needed fails.
    pub status: HealthStatus,
    /// The stores one by one.
    pub checks: Checks,
}

/// `GET /`: what answers here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct About {
    /// `APP_NAME`.
    pub name: String,
    /// The version of this build.
    pub version: Cow<'static, str>,
    /// Always `ok`.
    pub status: HealthStatus,
    /// Where the documentation is.
    pub docs: Cow<'static, str>,
}
