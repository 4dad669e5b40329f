//! Figures that are read when somebody looks: they cost those who are served nothing. What is watched is not kept alive.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::{metrics::metrics, store_calls::Backend};

/// A figure of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Connections to a server, by their state: `open`, `idle`; `unused` are those that may be made or are idle.
    Connections,
    /// Calls that wait for a connection or a thread, by the queue: `connection`, `reads`, `writes`.
    Waiting,
    /// Entries of the process's own memory, by their table.
    Entries,
}

impl Figure {
    /// Returns its name, its description, and the label that tells its parts apart.
    const fn describe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Connections => ("store_connections", "Connections to a store's server", "state"),
            Self::Waiting => ("store_waiting", "Calls that wait for a connection or a thread", "queue"),
            Self::Entries => ("store_entries", "Entries that the process itself keeps", "table"),
        }
    }
}

/// Reads a number; none when what it was read from is gone.
type Read = Box<dyn Fn() -> Option<usize> + Send + Sync>;
/// A figure, the store, and the part of it.
type Key = (Figure, &'static str, &'static str, &'static str);

/// The figures that are watched.
#[derive(Clone, Default)]
pub(super) struct Gauges(Arc<Mutex<Vec<(Key, Read)>>>);

/// Watches a part of a figure until it is gone.
pub fn watch(
    figure: Figure,
    backend: Backend,
    part: &'static str,
    read: impl Fn() -> Option<usize> + Send + Sync + 'static,
) {
    metrics().gauges.add((figure, backend.store, backend.product, part), Box::new(read));
}

impl Gauges {
    fn add(&self, key: Key, read: Read) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((key, read));
    }

    /// Reads everything that is still there. What two engines of one store have is added up.
    fn read(&self) -> BTreeMap<Key, usize> {
        let mut found = BTreeMap::new();
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|(key, read)| {
            let value = read();
            if let Some(value) = value {
                *found.entry(*key).or_default() += value;
            }
            value.is_some()
        });
        found
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let found = self.read();
        for figure in [Figure::Connections, Figure::Waiting, Figure::Entries] {
            let parts = found.iter().filter(|((of, ..), _)| *of == figure);
            let (name, help, label) = figure.describe();
            let mut written = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((_, store, product, part), value) in parts {
                let labels = [("store", *store), ("backend", *product), (label, *part)];
                let value = i64::try_from(*value).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(written.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_gauge_is_not_read() {
        let (gauges, first, second) = (Gauges::default(), Arc::new(3), Arc::new(4));
        let key = (Figure::Waiting, "chats", "sqlite", "writes");
        for value in [&first, &second] {
            let value = Arc::downgrade(value);
            gauges.add(key, Box::new(move || value.upgrade().map(|value| *value)));
        }
        assert_eq!(gauges.read(), BTreeMap::from([(key, 7)]));
        drop(first);
        assert_eq!(gauges.read(), BTreeMap::from([(key, 4)]));
        drop(second);
        assert_eq!(gauges.read(), BTreeMap::new());
        assert_eq!(gauges.0.lock().unwrap().len(), 0);
    }
}
