//! One answer of a model, from its first byte to its outcome: decoding, timeouts, and what the end of its bytes means. It knows
//! no turn, and does no I/O: whoever calls the provider hands it bytes and the time.

use super::{
    ModelEvent, ProviderFailure, ProviderTimeouts, StreamEnd, TimeoutBounds,
    gemini::{StreamDecoder, decode_response},
};
use crate::time::Timestamp;

/// Bytes of an answer's text at most, as JSON writes it: more than the most tokens of any model come to, and little enough
/// that a row of the user object's database holds it beside the largest message of a user.
pub const MAX_ANSWER_BYTES: usize = 512 * 1024;
/// Bytes of a whole answer at most, when it is not streamed: what the longest text takes, and room around it.
pub const MAX_RESPONSE_BYTES: usize = 2 * MAX_ANSWER_BYTES;

/// The end of an answer.
pub type Outcome = Result<StreamEnd, ProviderFailure>;

/// An answer that is waited for.
#[derive(Clone, Debug)]
pub struct Completion {
    decoder: StreamDecoder,
    timeouts: ProviderTimeouts,
}

impl Completion {
    /// Starts with a call that goes out now, and whose answer comes in pieces when it is `streamed`.
    pub fn new(now: Timestamp, streamed: bool, bounds: TimeoutBounds) -> Self {
        Self { decoder: StreamDecoder::default(), timeouts: ProviderTimeouts::new(now, streamed, bounds) }
    }

    /// Notes bytes of an answer that is read once it is whole.
    pub const fn record_bytes(&mut self, now: Timestamp) {
        self.timeouts.record_bytes(now);
    }

    /// Takes bytes of a streamed answer, and appends what they say to `out`. Returns the outcome when they end it.
    pub fn push(&mut self, bytes: &[u8], now: Timestamp, out: &mut Vec<ModelEvent>) -> Option<Outcome> {
        let before = out.len();
        let decoded = self.decoder.push(bytes, out);
        self.timeouts.record_bytes(now);
        if out.iter().skip(before).any(|event| matches!(event, ModelEvent::TextDelta(_))) {
            self.timeouts.record_words();
        }
        if let Some(finished) = self.decoder.finished() {
            self.timeouts.record_finish(now, finished.counted);
        }
        decoded.err().map(Err)
    }

    /// Takes the end of a streamed answer's bytes, and appends what only the end completes to `out`. `is_broken` tells that the
    /// connection broke rather than closed.
    ///
    /// # Errors
    /// [`ProviderFailure::Disconnected`] when it broke before the model said why it stopped, and what the decoder finds.
    pub fn close(&mut self, is_broken: bool, out: &mut Vec<ModelEvent>) -> Outcome {
        match self.decoder.finish(out)? {
            StreamEnd::Incomplete if is_broken => Err(ProviderFailure::Disconnected),
            end => Ok(end),
        }
    }

    /// Takes the body of an answer that came in one piece.
    ///
    /// # Errors
    /// As [`decode_response`].
    pub fn whole(body: &[u8], out: &mut Vec<ModelEvent>) -> Outcome {
        let (events, end) = decode_response(body, MAX_RESPONSE_BYTES)?;
        out.extend(events);
        Ok(end)
    }

    /// Looks at the time. Returns the outcome of an answer that takes too long, or that is whole though its connection is open.
    pub fn check(&mut self, now: Timestamp, out: &mut Vec<ModelEvent>) -> Option<Outcome> {
        if self.timeouts.is_over(now) {
            return Some(self.close(false, out));
        }
        self.timeouts.check(now).err().map(Err)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        provider::{FinishReason, Usage, gemini},
        time::SECOND_MS,
    };

    const BEGAN: Timestamp = Timestamp::from_millis(1_795_253_400_000);
    const IDENTITY: gemini::Identity<'_> = gemini::Identity { model_version: "m", response_id: "r" };

    const fn after(seconds: i64) -> Timestamp {
        BEGAN.plus_millis(seconds * SECOND_MS)
    }

    fn chunk(events: &[ModelEvent]) -> Vec<u8> {
        let mut bytes = Vec::new();
        gemini::encode_chunk(&mut bytes, IDENTITY, events);
        bytes
    }

    fn words() -> Vec<u8> {
        chunk(&[ModelEvent::TextDelta("Hi".to_owned())])
    }

    fn finish() -> Vec<u8> {
        chunk(&[ModelEvent::Usage(Usage::default()), ModelEvent::Finish(FinishReason::Stop)])
    }

    fn completion_of(pieces: &[Vec<u8>]) -> (Completion, Vec<ModelEvent>) {
        let (mut completion, mut out) = (Completion::new(BEGAN, true, TimeoutBounds::default()), Vec::new());
        for piece in pieces {
            assert_eq!(completion.push(piece, after(1), &mut out), None);
        }
        (completion, out)
    }

    #[rstest]
    #[case::finished(&[words(), finish()], false, Ok(StreamEnd::Completed(FinishReason::Stop)))]
    #[case::finished_and_broken(&[words(), finish()], true, Ok(StreamEnd::Completed(FinishReason::Stop)))]
    #[case::closed_early(&[words()], false, Ok(StreamEnd::Incomplete))]
    #[case::broken_early(&[words()], true, Err(ProviderFailure::Disconnected))]
    #[case::broken_at_once(&[], true, Err(ProviderFailure::Disconnected))]
    fn closed_connection_ends_by_earlier_events(
        #[case] pieces: &[Vec<u8>],
        #[case] is_broken: bool,
        #[case] outcome: Outcome,
    ) {
        let (mut completion, mut out) = completion_of(pieces);
        assert_eq!(completion.close(is_broken, &mut out), outcome);
    }

    #[test]
    fn finished_answer_ends_though_its_connection_stays_open() {
        let (mut completion, mut out) = completion_of(&[words(), finish()]);
        assert_eq!(completion.check(after(1), &mut out), None);
        let end = Ok(StreamEnd::Completed(FinishReason::Stop));
        assert_eq!(completion.check(after(3), &mut out), Some(end));
    }

    #[test]
    fn words_after_the_finish_put_the_end_off() {
        let (mut completion, mut out) = completion_of(&[finish(), words()]);
        // The reason was given already: silence ends it after the same grace, counted from the newest words.
        assert_eq!(completion.check(after(2), &mut out), None);
        assert!(completion.check(after(9), &mut out).is_some());
    }

    #[test]
    fn silent_answer_times_out() {
        let (mut completion, mut out) = completion_of(&[words()]);
        assert_eq!(completion.check(after(21), &mut out), None);
        assert_eq!(completion.check(after(22), &mut out), Some(Err(ProviderFailure::Timeout)));
    }

    #[rstest]
    #[case::thoughts(
        b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hm\",\"thought\":true}]}}]}\n\n"
    )]
    #[case::comments(b": thinking\n\n")]
    fn model_that_thinks_aloud_does_not_time_out(#[case] thought: &[u8]) {
        let (mut completion, mut out) = completion_of(&[]);
        for seconds in (15..=300).step_by(15) {
            assert_eq!(completion.check(after(seconds), &mut out), None, "after {seconds} s");
            assert_eq!(completion.push(thought, after(seconds), &mut out), None);
        }
        assert_eq!(out, []);
        assert_eq!(completion.check(after(321), &mut out), Some(Err(ProviderFailure::Timeout)));
    }

    #[test]
    fn whole_answer_stalls_only_once_it_has_begun() {
        let (mut completion, mut out) = (Completion::new(BEGAN, false, TimeoutBounds::default()), Vec::new());
        assert_eq!(completion.check(after(500), &mut out), None);
        completion.record_bytes(after(500));
        assert_eq!(completion.check(after(520), &mut out), None);
        assert_eq!(completion.check(after(521), &mut out), Some(Err(ProviderFailure::Timeout)));
    }

    #[test]
    fn page_of_html_ends_it_at_once() {
        let (mut completion, mut out) = (Completion::new(BEGAN, true, TimeoutBounds::default()), Vec::new());
        let ended = completion.push(b"<html>", after(1), &mut out);
        assert_eq!(ended, Some(Err(ProviderFailure::Malformed)));
    }

    #[test]
    fn whole_answer_is_bounded() {
        let mut out = Vec::new();
        let body = vec![b' '; MAX_RESPONSE_BYTES + 1];
        assert_eq!(Completion::whole(&body, &mut out), Err(ProviderFailure::TooLarge));
        let body = gemini::encode_response(
            IDENTITY,
            &[ModelEvent::TextDelta("Hi".to_owned()), ModelEvent::Finish(FinishReason::Stop)],
        );
        assert_eq!(Completion::whole(&body, &mut out), Ok(StreamEnd::Completed(FinishReason::Stop)));
        assert!(out.contains(&ModelEvent::TextDelta("Hi".to_owned())));
    }
}
