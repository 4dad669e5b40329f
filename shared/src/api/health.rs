//! Health checks, for load balancers and for people.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The state of a part.
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
    /// True when it answered in time.
    pub status: HealthStatus,
    /// The store behind the port, such as `postgres` or `sqlite`.
    pub backend: Cow<'static, str>,
    /// Duration of the check, in milliseconds.
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
    /// The path of the documentation.
    pub docs: Cow<'static, str>,
}
