//! The span of a turn, from the request that began it to the delivery of its end.

use shared::{
    chat::record::TurnRecord,
    id::Id,
    provider::ModelEvent,
    telemetry::{SpanKind, TraceContext},
    time::Timestamp,
};

use super::OpenSpan;

/// The span of a turn.
#[derive(Debug, Default)]
pub struct TurnSpan {
    span: OpenSpan,
    has_words: bool,
}

impl TurnSpan {
    /// Begins the span of a turn within that of its caller; none without one. A turn has one span in its trace, also where another
    /// process ends it.
    pub fn begin(caller: Option<TraceContext>, turn: Id, started: Timestamp) -> Self {
        let Some(caller) = caller else { return Self::default() };
        let context = caller.within_turn(turn);
        let span = OpenSpan::begin(context, Some(caller.span_id), "turn", SpanKind::Internal, started);
        Self { span, has_words: false }
    }

    /// Notes that the turn runs: storage has its begin, and the model's call is on its way.
    pub fn started(&mut self) {
        self.span.event("started");
    }

    /// Notes the model's first words.
    pub fn note_first_words(&mut self, events: &[ModelEvent]) {
        if self.has_words || !self.span.is_recorded() {
            return;
        }
        self.has_words = events.iter().any(|event| matches!(event, ModelEvent::TextDelta(_)));
        if self.has_words {
            self.span.event("first_words");
        }
    }

    /// Ends it with what became of the turn; one without a record could not begin.
    pub fn end(mut self, turn: Id, record: Option<&TurnRecord>) {
        let span = &mut self.span;
        if !span.is_recorded() {
            return;
        }
        span.set("edgechat.turn.id", turn.to_string());
        let Some(record) = record else { return span.fail("the turn could not begin") };
        let answer = record.messages.answer();
        span.set("edgechat.turn.kind", record.kind.as_str().to_owned());
        span.set("edgechat.turn.status", answer.status.as_str().to_owned());
        span.set("edgechat.turn.is_persisted", record.persisted);
        span.set("gen_ai.usage.input_tokens", record.usage.input_tokens);
        span.set("gen_ai.usage.output_tokens", record.usage.output_tokens);
        if let Some(error) = &record.error {
            span.set("error.type", error.code.as_str().to_owned());
            span.fail("");
        }
    }
}
