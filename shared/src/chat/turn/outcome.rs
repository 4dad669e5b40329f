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
    /// It waited in the queue and could not begin.
    NotStarted(TurnCode),
}

impl TurnOutcome {
    /// Returns the status of a turn with this outcome, and its error; `spoke` when words came. A turn that failed has no answer;
    /// one that is incomplete has the words that came. One that ran into its token limit was answered, and is counted, even when
    /// all its tokens were thoughts.
    pub(super) fn status(self, spoke: bool) -> (TurnStatus, Option<TurnError>) {
        let code = match self {
            Self::Cancelled => return (TurnStatus::Cancelled, None),
            Self::Interrupted => return (TurnStatus::Interrupted, None),
            Self::Answered(StreamEnd::Completed(FinishReason::ToolCalls)) => {
                return (TurnStatus::Completed, None);
            }
            Self::NotStarted(code) => return (TurnStatus::Failed, Some(TurnError::new(code, None))),
            Self::Answered(StreamEnd::Completed(FinishReason::Stop)) if spoke => {
                return (TurnStatus::Completed, None);
            }
            Self::Answered(end) => code_of(end),
            Self::Failed(failure) => failure.turn_code(spoke),
        };
        let has_answer = spoke || code == TurnCode::Length;
        let status = if has_answer { TurnStatus::Incomplete } else { TurnStatus::Failed };
        (status, Some(TurnError::new(code, None)))
    }

    /// Returns the reason why the model stopped, where it gave one; a prompt that is blocked while the answer is under way stops it
    /// as the filter does.
    pub(super) const fn finish_reason(self) -> Option<FinishReason> {
        match self {
            Self::Answered(StreamEnd::Completed(reason)) => Some(reason),
            Self::Answered(StreamEnd::Refused) => Some(FinishReason::ContentFilter),
            _ => None,
        }
    }
}

/// Returns the code of an answer that ended otherwise than complete.
const fn code_of(end: StreamEnd) -> TurnCode {
    match end {
        StreamEnd::Refused => TurnCode::Safety,
        StreamEnd::Incomplete => TurnCode::NoFinishReason,
        StreamEnd::Completed(reason) => match reason {
            FinishReason::Stop => TurnCode::EmptyAnswer,
            FinishReason::Length => TurnCode::Length,
            FinishReason::ContentFilter => TurnCode::Safety,
            FinishReason::Recitation => TurnCode::Recitation,
            FinishReason::InvalidOutput => TurnCode::InvalidOutput,
            FinishReason::InvalidToolCall => TurnCode::InvalidToolCall,
            FinishReason::Language => TurnCode::Language,
            FinishReason::ToolCalls | FinishReason::Other | FinishReason::Unknown(_) => {
                TurnCode::Error(ErrorCode::ProviderError)
            }
        },
    }
}
