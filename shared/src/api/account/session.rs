//! Sessions as their user sees them.

use serde::{Deserialize, Serialize};

use crate::{api::open::open_names, id::Id, time::Timestamp};

open_names! {
    /// The kind of program that a session began in.
    pub enum Platform {
        /// An app on an iPhone or iPad.
        Ios = "ios",
        /// An app on Android.
        Android = "android",
        /// A browser.
        Web = "web",
        /// A program on a computer.
        Desktop = "desktop",
    }
}

/// An open session of the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// The session's id.
    pub id: Id,
    /// The user's name of the device.
    pub device_name: Option<String>,
    /// The kind of program it began in, as its `User-Agent` tells; `null` where that tells nothing.
    pub platform: Option<Platform>,
    /// The address it was used from last: at its sign-in, or at a refresh.
    pub ip: Option<String>,
    /// True for the session of the token of this request.
    pub current: bool,
    /// The time of its sign-in.
    pub created_at: Timestamp,
    /// The time of its sign-in or its last refresh.
    pub last_used_at: Timestamp,
    /// The time at which it ends unless it is refreshed before.
    pub expires_at: Timestamp,
}
