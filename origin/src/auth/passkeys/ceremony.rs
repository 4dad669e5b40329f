//! The ceremonies of WebAuthn, by `webauthn-rs`: from options for an authenticator to a credential that is verified.
//!
//! Every passkey is discoverable, so that a sign-in names no account, and has verified its user by a finger, a face or a PIN.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use shared::api::account::User;
use uuid::Uuid;
use webauthn_rs::prelude::{
    Credential, DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Webauthn, WebauthnBuilder, WebauthnError,
};

use super::error::PasskeyError;
use crate::{auth::AuthError, config::PasskeysConfig, store::accounts::passkeys::StoredPasskey};

/// The longest id of a credential (WebAuthn, section 4, "Credential ID").
const MAX_CREDENTIAL_ID_BYTES: usize = 1_023;
const NO_CREDENTIAL: &str = "is not a credential as PublicKeyCredential.toJSON writes it";

/// The domain and the origins cannot be used together, which the configuration rules out.
#[derive(Debug, thiserror::Error)]
#[error("passkeys cannot be set up: {0}")]
pub struct SetupError(WebauthnError);

/// The ceremonies of one domain.
pub struct Ceremonies(Webauthn);

/// A ceremony that began.
#[derive(Debug)]
pub(super) struct Begun {
    /// The options for the authenticator, as JSON of WebAuthn.
    pub(super) public_key: Map<String, Value>,
    /// The state that its end needs; no secret, but only the server may say what it is.
    pub(super) state: Vec<u8>,
}

/// A credential that was registered.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) credential_id: Vec<u8>,
    /// As it is stored.
    pub(super) credential: String,
    pub(super) sign_count: u32,
    pub(super) backed_up: bool,
}

/// A signed credential, not yet verified.
#[derive(Debug)]
pub(super) struct Assertion(PublicKeyCredential);

/// A sign-in that was verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verified {
    pub(super) sign_count: u32,
    pub(super) backed_up: bool,
}

impl Ceremonies {
    /// Sets the ceremonies up for a domain; `name` is shown to users by some authenticators.
    ///
    /// # Errors
    ///
    /// Fails when an origin does not belong to the domain, which the configuration rules out.
    pub fn new(config: &PasskeysConfig, name: &str) -> Result<Self, SetupError> {
        let (own, others) = config.origins.split_first().ok_or(SetupError(WebauthnError::Configuration))?;
        let builder = WebauthnBuilder::new(&config.rp_id, own).map_err(SetupError)?.rp_name(name);
        let builder = others.iter().fold(builder, WebauthnBuilder::append_allowed_origin);
        builder.build().map(Self).map_err(SetupError)
    }

    /// Begins the registration of a passkey by a user who has these.
    pub(super) fn begin_registration(
        &self,
        user: &User,
        known: &[StoredPasskey],
    ) -> Result<Begun, AuthError> {
        let account = user.email.as_deref().or(user.phone.as_deref());
        let display_name = user.display_name.as_deref().or(account).unwrap_or("Guest");
        // The user's own id: a sign-in finds the account by the credential, and an id says nothing about a person.
        let handle = Uuid::from_bytes(*user.id.as_bytes());
        let begun =
            self.0.start_passkey_registration(handle, account.unwrap_or(display_name), display_name, None);
        let (options, state) = begun.map_err(|error| internal(&error))?;
        let mut public_key = object(&options.public_key)?;
        public_key.insert(
            "authenticatorSelection".to_owned(),
            json!({"residentKey": "required", "requireResidentKey": true, "userVerification": "required"}),
        );
        let excluded = known.iter().map(descriptor).collect::<Result<Vec<_>, _>>()?;
        public_key.insert("excludeCredentials".to_owned(), excluded.into());
        Ok(Begun { public_key, state: bytes(&state)? })
    }

    /// Ends a registration.
    pub(super) fn finish_registration(
        &self,
        state: &[u8],
        credential: &NewCredential,
    ) -> Result<Registered, AuthError> {
        let state: PasskeyRegistration = stored(state)?;
        let passkey = self.0.finish_passkey_registration(&credential.0, &state).map_err(|error| {
            tracing::info!(%error, "a passkey was not registered");
            PasskeyError::CredentialInvalid(reason(&error))
        })?;
        let text = serde_json::to_string(&passkey).map_err(|error| AuthError::Internal(error.to_string()))?;
        let credential = Credential::from(passkey);
        if credential.cred_id.len() > MAX_CREDENTIAL_ID_BYTES {
            return Err(PasskeyError::CredentialInvalid("has an id that is too long").into());
        }
        Ok(Registered {
            credential_id: credential.cred_id,
            credential: text,
            sign_count: credential.counter,
            backed_up: credential.backup_state,
        })
    }

    /// Begins a sign-in by whoever has a passkey.
    pub(super) fn begin_sign_in(&self) -> Result<Begun, AuthError> {
        let (options, state) =
            self.0.start_discoverable_authentication().map_err(|error| internal(&error))?;
        Ok(Begun { public_key: object(&options.public_key)?, state: bytes(&state)? })
    }

    /// Ends a sign-in by this passkey.
    pub(super) fn finish_sign_in(
        &self,
        state: &[u8],
        assertion: &Assertion,
        passkey: &StoredPasskey,
    ) -> Result<Verified, AuthError> {
        let state: DiscoverableAuthentication = stored(state)?;
        let mut credential = credential(passkey)?;
        credential.counter = passkey.sign_count;
        credential.backup_state = passkey.backed_up;
        let (handle, _) =
            self.0.identify_discoverable_authentication(&assertion.0).map_err(|_| PasskeyError::Refused)?;
        if handle.as_bytes() != passkey.user_id.as_bytes() {
            return Err(PasskeyError::Refused.into());
        }
        let verified = self.0.finish_discoverable_authentication_v2(&assertion.0, state, &credential);
        let verified = verified.map_err(|error| {
            tracing::info!(%error, passkey = %passkey.id, "a passkey was not accepted");
            PasskeyError::Refused
        })?;
        Ok(Verified { sign_count: verified.counter(), backed_up: verified.backup_state() })
    }
}

/// A new credential, not yet verified.
#[derive(Debug)]
pub(super) struct NewCredential(RegisterPublicKeyCredential);

impl NewCredential {
    /// Reads a credential of a registration.
    pub(super) fn read(json: Map<String, Value>) -> Result<Self, PasskeyError> {
        let credential: RegisterPublicKeyCredential = read(json)?;
        let properties = credential.extensions.cred_props.as_ref();
        if properties.is_some_and(|properties| properties.rk == Some(false)) {
            return Err(PasskeyError::CredentialInvalid("is not discoverable"));
        }
        Ok(Self(credential))
    }
}

impl Assertion {
    /// Reads a signed credential.
    pub(super) fn read(json: Map<String, Value>) -> Result<Self, PasskeyError> {
        read(json).map(Self)
    }

    /// Returns the id that the authenticator gave the credential.
    pub(super) fn credential_id(&self) -> &[u8] {
        self.0.get_credential_id()
    }
}

/// Returns the options that ask an authenticator for none of these.
fn descriptor(passkey: &StoredPasskey) -> Result<Value, AuthError> {
    let credential = credential(passkey)?;
    let id = URL_SAFE_NO_PAD.encode(&credential.cred_id);
    Ok(match credential.transports {
        Some(transports) => json!({"type": "public-key", "id": id, "transports": transports}),
        None => json!({"type": "public-key", "id": id}),
    })
}

fn credential(passkey: &StoredPasskey) -> Result<Credential, AuthError> {
    stored::<Passkey>(passkey.credential.as_bytes()).map(Credential::from)
}

fn read<T: DeserializeOwned>(json: Map<String, Value>) -> Result<T, PasskeyError> {
    serde_json::from_value(Value::Object(json)).map_err(|_| PasskeyError::CredentialInvalid(NO_CREDENTIAL))
}

/// Reads what this server has stored.
fn stored<T: DeserializeOwned>(text: &[u8]) -> Result<T, AuthError> {
    serde_json::from_slice(text)
        .map_err(|error| AuthError::Internal(format!("what is stored of a passkey cannot be read: {error}")))
}

fn object(options: &impl Serialize) -> Result<Map<String, Value>, AuthError> {
    match serde_json::to_value(options) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(AuthError::Internal("the options of a passkey are no object".to_owned())),
        Err(error) => Err(AuthError::Internal(error.to_string())),
    }
}

fn bytes(state: &impl Serialize) -> Result<Vec<u8>, AuthError> {
    serde_json::to_vec(state).map_err(|error| AuthError::Internal(error.to_string()))
}

fn internal(error: &WebauthnError) -> AuthError {
    AuthError::Internal(format!("a ceremony of passkeys cannot begin: {error}"))
}

/// The words for the developer of an app.
fn reason(error: &WebauthnError) -> &'static str {
    match error {
        WebauthnError::InvalidRPOrigin => "was made by a site or an app that is not in PASSKEY_ORIGINS",
        WebauthnError::InvalidRPIDHash => "was made for another domain than PASSKEY_RP_ID",
        WebauthnError::MismatchedChallenge => "answers another challenge",
        WebauthnError::UserNotVerified | WebauthnError::UserNotPresent => "has not verified the user",
        WebauthnError::CredentialAlteredAlgFromRequest => "has an algorithm that was not asked for",
        _ => "cannot be verified",
    }
}
