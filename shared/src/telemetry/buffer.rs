//! Spans that wait to be sent, of all requests of an isolate: bounded in number, sent by few requests at once, and dropped while
//! the collector does not take them.

use super::span::FinishedSpan;
use crate::time::{SECOND_MS, Timestamp};

/// Spans that wait at most; more are dropped.
pub const MAX_SPANS: usize = 256;
/// Requests with spans that are on their way at once at most.
pub const MAX_POSTS: usize = 4;
/// The time that the collector has for an answer, in milliseconds.
pub const POST_TIMEOUT_MS: i64 = 2 * SECOND_MS;
/// The time for which spans are dropped once the collector did not take some, in milliseconds.
pub const PAUSE_MS: i64 = 30 * SECOND_MS;

/// The spans.
#[derive(Clone, Debug, Default)]
pub struct SpanBuffer {
    spans: Vec<FinishedSpan>,
    /// The times at which the posts began that are on their way.
    posts: Vec<Timestamp>,
    paused_until: Option<Timestamp>,
}

impl SpanBuffer {
    /// Makes an empty buffer.
    pub const fn new() -> Self {
        Self { spans: Vec::new(), posts: Vec::new(), paused_until: None }
    }

    /// Adds a span, if there is room.
    pub fn push(&mut self, span: FinishedSpan) {
        if self.spans.len() < MAX_SPANS {
            self.spans.push(span);
        }
    }

    /// Takes what is to be sent now in one post, of which [`Self::sent`] or [`Self::failed`] then tells; nothing while enough posts
    /// are on their way. A post of which nothing was told for twice its time was given up by the platform.
    pub fn take(&mut self, now: Timestamp) -> Vec<FinishedSpan> {
        if self.spans.is_empty() {
            return Vec::new();
        }
        if self.paused_until.is_some_and(|until| now < until) {
            self.spans.clear();
            return Vec::new();
        }
        self.posts.retain(|started_at| now.millis_since(*started_at) < 2 * POST_TIMEOUT_MS);
        if self.posts.len() >= MAX_POSTS {
            return Vec::new();
        }
        self.posts.push(now);
        std::mem::take(&mut self.spans)
    }

    /// Notes that the collector took the post which began then.
    pub fn sent(&mut self, started_at: Timestamp) {
        if let Some(at) = self.posts.iter().position(|post| *post == started_at) {
            self.posts.swap_remove(at);
        }
    }

    /// Notes that the collector did not take the post which began then.
    pub fn failed(&mut self, started_at: Timestamp, now: Timestamp) {
        self.sent(started_at);
        self.paused_until = Some(now.plus_millis(PAUSE_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{SpanKind, TraceContext};

    const NOW: Timestamp = Timestamp::from_millis(1_795_253_400_000);

    fn span() -> FinishedSpan {
        FinishedSpan {
            context: TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap(),
            parent: None,
            name: "a span".into(),
            kind: SpanKind::Internal,
            started_ns: 1,
            ended_ns: 2,
            attributes: Vec::new(),
            events: Vec::new(),
            error: None,
        }
    }

    fn filled(count: usize) -> SpanBuffer {
        let mut buffer = SpanBuffer::new();
        (0..count).for_each(|_| buffer.push(span()));
        buffer
    }

    #[test]
    fn spans_beyond_the_bound_are_dropped() {
        assert_eq!(filled(MAX_SPANS + 10).take(NOW).len(), MAX_SPANS);
        assert_eq!(filled(0).take(NOW).len(), 0);
    }

    #[test]
    fn spans_wait_while_enough_posts_are_on_their_way() {
        let mut buffer = filled(0);
        for millis in 0..4 {
            buffer.push(span());
            assert_eq!(buffer.take(NOW.plus_millis(millis)).len(), 1);
        }
        buffer.push(span());
        assert_eq!(buffer.take(NOW.plus_millis(4)).len(), 0);
        buffer.push(span());
        buffer.sent(NOW.plus_millis(2));
        assert_eq!(buffer.take(NOW.plus_millis(5)).len(), 2);
    }

    #[test]
    fn posts_without_outcome_do_not_block_for_ever() {
        let mut buffer = filled(0);
        for _ in 0..MAX_POSTS {
            buffer.push(span());
            assert_eq!(buffer.take(NOW).len(), 1);
        }
        buffer.push(span());
        assert_eq!(buffer.take(NOW.plus_millis(2 * POST_TIMEOUT_MS - 1)).len(), 0);
        assert_eq!(buffer.take(NOW.plus_millis(2 * POST_TIMEOUT_MS)).len(), 1);
    }

    #[test]
    fn collector_that_fails_is_left_alone_for_a_while() {
        let mut buffer = filled(1);
        assert_eq!(buffer.take(NOW).len(), 1);
        buffer.failed(NOW, NOW);
        buffer.push(span());
        assert_eq!(buffer.take(NOW.plus_millis(PAUSE_MS - 1)).len(), 0);
        assert_eq!(buffer.take(NOW.plus_millis(PAUSE_MS)).len(), 0, "what came meanwhile is gone");
        buffer.push(span());
        assert_eq!(buffer.take(NOW.plus_millis(PAUSE_MS)).len(), 1);
    }
}
