//! Calls of stores: an adapter sends each through [`observed`], in the one place where it runs its operations. There it is counted,
//! and traced where its request is.

use std::future::Future;

use opentelemetry::{
    KeyValue,
    trace::{Span as _, Status},
};
use opentelemetry_sdk::trace::Span;
use prometheus_client::encoding::EncodeLabelSet;
use tokio::time::Instant;

use super::{metrics::metrics, traces::begin_store_call};

/// The outcome of a call that did what it promises.
const OK: &str = "ok";
/// The outcome of a call whose caller did not wait for the end.
const ABANDONED: &str = "abandoned";

/// A store and what keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backend {
    /// The store: `accounts`, `chats` or `ephemeral`.
    pub store: &'static str,
    /// The product, by OpenTelemetry's `db.system.name`.
    pub product: &'static str,
}

/// The labels of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StoreCallLabels {
    store: &'static str,
    backend: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

/// Runs a call and measures it. `kind` names an error in one word of few.
///
/// # Errors
/// Those of the call.
pub async fn observed<T, E>(
    backend: Backend,
    operation: &'static str,
    kind: impl Fn(&E) -> &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let labels =
        StoreCallLabels { store: backend.store, backend: backend.product, operation, outcome: ABANDONED };
    let span = begin_store_call(backend, operation);
    let mut timer = Timer { labels, started: Instant::now(), span };
    let outcome = call.await;
    timer.labels.outcome = outcome.as_ref().map_or_else(kind, |_| OK);
    outcome
}

/// Returns the method that a closure stands in, such as `record_turn`: adapters name their operations by it. Made of the closure's
/// name in the compiler's words, which a test looks at.
pub fn operation_of<F>(_closure: &F) -> &'static str {
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    let path = without_parameters(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// Returns a name without the parameters of its type or lifetimes, such as `find<'_, std::time::Duration>`.
fn without_parameters(path: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in path.char_indices().rev() {
        match c {
            '>' => depth += 1,
            '<' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            let end = if c == '<' { at } else { path.len() };
            return path.get(..end).unwrap_or(path);
        }
    }
    path
}

/// Counts a call and ends its span when it ends, or when its caller goes.
struct Timer {
    labels: StoreCallLabels,
    started: Instant,
    span: Option<Span>,
}

impl Drop for Timer {
    fn drop(&mut self) {
        let calls = &metrics().store_calls;
        calls.get_or_create(&self.labels).observe(self.started.elapsed().as_secs_f64());
        if let Some(span) = &mut self.span {
            if self.labels.outcome != OK {
                span.set_attribute(KeyValue::new("error.type", self.labels.outcome));
                span.set_status(Status::error(self.labels.outcome));
            }
            span.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::store::StoreError;

    #[async_trait]
    trait Port {
        async fn find_user(&self, name: &str) -> &'static str;
    }

    struct Adapter;

    #[async_trait]
    impl Port for Adapter {
        async fn find_user(&self, name: &str) -> &'static str {
            operation_of(&|_: u8| async move { name.len() })
        }
    }

    fn of_a_function<T>(_: T) -> &'static str {
        operation_of(&|_: T| ())
    }

    fn count(store: &str, outcome: &str) -> Option<String> {
        let text = metrics().to_text().unwrap();
        let labels =
            format!("store=\"{store}\",backend=\"sqlite\",operation=\"find_user\",outcome=\"{outcome}\"");
        let name = format!("edgechat_store_call_duration_seconds_count{{{labels}}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    }

    #[tokio::test]
    async fn closure_of_a_port_method_is_named_by_it() {
        assert_eq!(Adapter.find_user("Ada").await, "find_user");
        assert_eq!(of_a_function(Some(std::time::Duration::ZERO)), "of_a_function");
        assert_eq!(operation_of(&str::len), "len");
    }

    #[tokio::test]
    async fn calls_are_counted_by_their_outcome() {
        let backend = Backend { store: "a test", product: "sqlite" };
        let call = |outcome: Result<(), StoreError>| {
            observed(backend, "find_user", StoreError::kind, async move { outcome })
        };
        call(Ok(())).await.unwrap();
        call(Ok(())).await.unwrap();
        call(Err(StoreError::Timeout)).await.unwrap_err();
        drop(observed(backend, "find_user", StoreError::kind, std::future::pending::<Result<(), _>>()));
        let mut abandoned = Box::pin(observed(
            backend,
            "find_user",
            StoreError::kind,
            std::future::pending::<Result<(), _>>(),
        ));
        tokio::select! {
            biased;
            _ = &mut abandoned => unreachable!("it is pending"),
            () = std::future::ready(()) => drop(abandoned),
        }
        let counts = ["ok", "timeout", "abandoned", "conflict"].map(|outcome| count("a test", outcome));
        let one = || Some("1".to_owned());
        assert_eq!(counts, [Some("2".to_owned()), one(), one(), None]);
    }
}
