//! Messages to users by what became of them, and whether the servers that deliver them are left alone.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::metrics::metrics;

/// The outcome of an attempt to send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageOutcome {
    /// The server has it.
    Sent,
    /// The server did not take it now; it is tried again.
    Retried,
    /// The server refused it for good.
    Refused,
    /// It had expired before it could be sent.
    Expired,
}

impl MessageOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Retried => "retried",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    channel: &'static str,
    purpose: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    channel: &'static str,
}

/// The figures of messages.
#[derive(Debug, Default)]
pub(super) struct MessageFigures {
    messages: Family<MessageLabels, Counter>,
    open_circuits: Family<ServerLabels, Gauge>,
}

impl MessageFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("messages", "Attempts to send a message to a user", self.messages.clone());
        registry.register(
            "message_circuit_open",
            "1 while the server of a channel fails and is left alone",
            self.open_circuits.clone(),
        );
    }

    fn count(&self, channel: &'static str, purpose: &'static str, outcome: MessageOutcome) {
        let labels = MessageLabels { channel, purpose, outcome: outcome.as_str() };
        self.messages.get_or_create(&labels).inc();
    }

    fn set_circuit(&self, channel: &'static str, is_open: bool) {
        self.open_circuits.get_or_create(&ServerLabels { channel }).set(is_open.into());
    }
}

/// Counts an attempt to send a message.
pub fn count_message(channel: &'static str, purpose: &'static str, outcome: MessageOutcome) {
    metrics().messages.count(channel, purpose, outcome);
}

/// Notes whether the server of a channel is left alone.
pub fn set_circuit(channel: &'static str, is_open: bool) {
    metrics().messages.set_circuit(channel, is_open);
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::*;

    #[test]
    fn messages_and_circuits_are_written_with_their_labels() {
        let (figures, mut registry) = (MessageFigures::default(), Registry::default());
        figures.register(&mut registry);
        for outcome in [MessageOutcome::Retried, MessageOutcome::Retried, MessageOutcome::Sent] {
            figures.count("email", "reset", outcome);
        }
        figures.set_circuit("email", false);
        figures.set_circuit("sms", true);
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"messages{channel="email",purpose="reset",outcome="retried"} 2"#,
            r#"messages{channel="email",purpose="reset",outcome="sent"} 1"#,
            r#"message_circuit_open{channel="email"} 0"#,
            r#"message_circuit_open{channel="sms"} 1"#,
        ] {
            let found = text.lines().any(|found| found.replace("messages_total", "messages") == line);
            assert!(found, "{line} in {text}");
        }
    }
}
