//! The end of a turn: its outcome, and the status that it has for it.

use crate::{
    api::{
        chat::{FinishReason, TurnCode, TurnError, TurnStatus},
        error::ErrorCode,
    },
    provider::{ProviderFailure, StreamEnd},
};

/// The outcome of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnOutcome {
    /// The provider's answer is over.
    Answered(StreamEnd),
    /// The provider failed.
    Failed(ProviderFailure),
    /// The user stopped it.
    Cancelled,
    /// Our side was restarted.
    Interrupted,
}

impl TurnOutcome {
    /// Returns the status of a turn with this outcome, and its error; `spoke` when words came. A turn that failed has no answer;
    /// one that is incomplete has the words that came.
    pub(super) fn status(self, spoke: bool) -> (TurnStatus, Option<TurnError>) {
        let error = |status, code| (status, Some(TurnError::new(code, None)));
        let failed = |code: ErrorCode| error(TurnStatus::Failed, code.into());
        let incomplete = |code| error(TurnStatus::Incomplete, code);
        match self {
            Self::Answered(StreamEnd::Completed(reason)) => match reason {
                FinishReason::ToolCalls => (TurnStatus::Completed, None),
                FinishReason::Stop if spoke => (TurnStatus::Completed, None),
                FinishReason::Length => incomplete(TurnCode::Length),
                FinishReason::ContentFilter if spoke => incomplete(TurnCode::Safety),
                FinishReason::Recitation if spoke => incomplete(TurnCode::Recitation),
                FinishReason::InvalidOutput if spoke => incomplete(TurnCode::InvalidOutput),
                FinishReason::ContentFilter | FinishReason::Recitation => failed(ErrorCode::ProviderRefused),
                _ if spoke => incomplete(ErrorCode::ProviderError.into()),
                _ => failed(ErrorCode::ProviderError),
            },
            Self::Answered(StreamEnd::Refused) => failed(ErrorCode::ProviderRefused),
            Self::Answered(StreamEnd::Incomplete) | Self::Failed(ProviderFailure::Disconnected) if spoke => {
                incomplete(TurnCode::ProviderDisconnected)
            }
            Self::Answered(StreamEnd::Incomplete) => failed(ErrorCode::ProviderError),
            Self::Failed(failure) if spoke => incomplete(failure.code().into()),
            Self::Failed(failure) => failed(failure.code()),
            Self::Cancelled => (TurnStatus::Cancelled, None),
            Self::Interrupted => (TurnStatus::Interrupted, None),
        }
    }
}
