//! The port's errors of the driver's. Messages of servers may quote stored data, so only kinds and codes are passed on;
//! addresses may be, credentials never are.

use mongodb::error::{Error, ErrorKind, InsertManyError, RETRYABLE_WRITE_ERROR, WriteFailure};

use crate::store::error::StoreError;

/// `DuplicateKey`: the value exists in a unique index.
const DUPLICATE_KEY: i32 = 11_000;
/// `NamespaceNotFound`: the collection does not exist yet.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// `MaxTimeMSExpired`, `WriteConcernFailed` (its timeout), `NetworkTimeout`, `ExceededTimeLimit`.
const TIMEOUTS: [i32; 4] = [50, 64, 89, 262];
/// `NotAReplicaSet`, `CommandNotSupported`.
const NO_MAJORITY: [i32; 2] = [123, 115];
/// The server is no longer primary, or is stopping or starting: another one may succeed.
const ELSEWHERE: [i32; 8] = [91, 189, 10_058, 10_107, 11_600, 11_602, 13_435, 13_436];
/// `Unauthorized`, `AuthenticationFailed`.
const REFUSALS: [i32; 2] = [13, 18];
/// The most characters of the driver's reason why no server could be selected.
const DETAIL_CHARS: usize = 400;

/// The error of an attempt, which may be transient.
#[derive(Debug)]
pub(super) struct Fault {
    /// The error for the caller.
    pub(super) error: StoreError,
    /// A connection broke, or the server changed its role: repeat it at once.
    pub(super) is_transient: bool,
}

/// The result of an operation.
pub(super) type Attempt<T> = Result<T, Fault>;

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self { error, is_transient: false }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let is_transient = match error.kind.as_ref() {
            ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
            _ => {
                code(&error).is_some_and(|code| ELSEWHERE.contains(&code))
                    || error.contains_label(RETRYABLE_WRITE_ERROR)
            }
        };
        Self { error: meaning(&error), is_transient }
    }
}

/// Returns the number of documents that an ordered insert wrote before a unique index refused one; `None` for other errors.
pub(super) fn inserted_before_duplicate(error: &Error) -> Option<usize> {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(InsertManyError {
            write_errors: Some(refused),
            write_concern_error: None,
            ..
        }) => match refused.as_slice() {
            [first] if first.code == DUPLICATE_KEY => Some(first.index),
            _ => None,
        },
        _ => None,
    }
}

/// Returns true when the collection does not exist yet.
pub(super) fn is_missing_collection(error: &Error) -> bool {
    code(error) == Some(NAMESPACE_NOT_FOUND)
}

/// Returns true when a linearizable read was refused because no majority could confirm it: the server is standalone, or does
/// not support such reads.
pub(super) fn has_no_majority(error: &Error) -> bool {
    code(error).is_some_and(|code| NO_MAJORITY.contains(&code))
}

fn meaning(error: &Error) -> StoreError {
    if code(error).is_some_and(|code| TIMEOUTS.contains(&code)) {
        return StoreError::Timeout;
    }
    if let ErrorKind::Authentication { .. } = error.kind.as_ref() {
        return StoreError::Refused("it does not accept the credentials".to_owned());
    }
    if code(error).is_some_and(|code| REFUSALS.contains(&code)) {
        return StoreError::Refused("these credentials may not do that".to_owned());
    }
    StoreError::Unavailable(match error.kind.as_ref() {
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => return StoreError::Timeout,
        ErrorKind::Io(error) => error.kind().to_string(),
        ErrorKind::ConnectionPoolCleared { .. } => "the connection was lost".to_owned(),
        ErrorKind::ServerSelection { message, .. } | ErrorKind::DnsResolve { message, .. } => {
            message.chars().take(DETAIL_CHARS).collect()
        }
        ErrorKind::IncompatibleServer { message, .. } | ErrorKind::InvalidTlsConfig { message, .. } => {
            message.clone()
        }
        ErrorKind::Command(error) => format!("error {} {}", error.code, error.code_name),
        _ => match code(error) {
            Some(code) => format!("error {code}"),
            None => "it answered something unexpected".to_owned(),
        },
    })
}

/// Returns the server's code.
fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::InsertMany(InsertManyError { write_errors, write_concern_error, .. }) => {
            let unconfirmed = write_concern_error.as_ref().map(|error| error.code);
            unconfirmed.or_else(|| write_errors.iter().flatten().map(|error| error.code).next())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{deserialize_from_document, doc};

    use super::*;

    #[test]
    fn standalone_server_is_distinguished_from_secondary() {
        let refusal = |code: i32, name: &str| {
            let answer = doc! { "ok": 0, "code": code, "codeName": name, "errmsg": "no" };
            Error::from(ErrorKind::Command(deserialize_from_document(answer).unwrap()))
        };
        assert!(has_no_majority(&refusal(123, "NotAReplicaSet")));
        let deposed = refusal(10_107, "NotWritablePrimary");
        assert!(!has_no_majority(&deposed) && Fault::from(deposed).is_transient);
        let unconfirmed = refusal(50, "MaxTimeMSExpired");
        assert!(!has_no_majority(&unconfirmed));
        assert_eq!(Fault::from(unconfirmed).error.kind(), "timeout");
    }
}
