//! The meaning of the origin's answers to a user's requests, at the edge.

use crate::{
    api::{ErrorCode, Problem},
    auth::sessions::SessionReport,
};

/// The meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginAnswer {
    /// The body is what was asked for.
    Found,
    /// The origin's word about this user or this object, which the client gets.
    Refused(ErrorCode),
    /// Trouble between the parts, of which the client learns only that.
    Failed,
}

impl OriginAnswer {
    /// Reads an answer of this status with this body.
    pub fn of(status: u16, body: &[u8]) -> Self {
        let code = || serde_json::from_slice::<Problem>(body).ok().map(|problem| problem.code);
        match status {
            200 => Self::Found,
            401 | 404 => code().filter(|code| code.status() == status).map_or(Self::Failed, Self::Refused),
            _ => Self::Failed,
        }
    }

    /// Returns what it says about the session that asked.
    pub fn session(self) -> SessionReport {
        match self {
            Self::Found => SessionReport::Active,
            Self::Refused(ErrorCode::SessionEnded) => SessionReport::Revoked,
            Self::Refused(_) => SessionReport::None,
            Self::Failed => SessionReport::Unanswered,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn problem(code: ErrorCode) -> Vec<u8> {
        serde_json::to_vec(&crate::api::ApiError::from(code).problem("r")).unwrap()
    }

    #[rstest]
    #[case::found(200, b"{}".to_vec(), OriginAnswer::Found, SessionReport::Active)]
    #[case::ended(
        401,
        problem(ErrorCode::SessionEnded),
        OriginAnswer::Refused(ErrorCode::SessionEnded),
        SessionReport::Revoked
    )]
    #[case::expired(
        401,
        problem(ErrorCode::TokenExpired),
        OriginAnswer::Refused(ErrorCode::TokenExpired),
        SessionReport::None
    )]
    #[case::absent(
        404,
        problem(ErrorCode::NotFound),
        OriginAnswer::Refused(ErrorCode::NotFound),
        SessionReport::None
    )]
    #[case::somebody_elses_404(404, b"<html>".to_vec(), OriginAnswer::Failed, SessionReport::Unanswered)]
    #[case::other_code(
        404,
        problem(ErrorCode::SessionEnded),
        OriginAnswer::Failed,
        SessionReport::Unanswered
    )]
    #[case::keys_that_differ(
        403,
        problem(ErrorCode::Forbidden),
        OriginAnswer::Failed,
        SessionReport::Unanswered
    )]
    #[case::outage(
        503,
        problem(ErrorCode::StoreUnavailable),
        OriginAnswer::Failed,
        SessionReport::Unanswered
    )]
    fn answer_is_the_origins_word_or_trouble(
        #[case] status: u16,
        #[case] body: Vec<u8>,
        #[case] answer: OriginAnswer,
        #[case] session: SessionReport,
    ) {
        assert_eq!(OriginAnswer::of(status, &body), answer);
        assert_eq!(answer.session(), session);
    }
}
