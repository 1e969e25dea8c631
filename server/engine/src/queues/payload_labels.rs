//! Labels from payload fields: the values that a queue wants to search by.
//!
//! They are copied before the spec is encoded, so every list, count and watch by labels finds
//! them and nothing is written twice. Only payloads of queues that declare paths are read.
//!
//! The payload is parsed once as a stream, without a tree. Fields without a path are skipped.

use std::fmt;

use sentinel_domain::limits::KEY_BYTES;
use sentinel_domain::{INDEXED_LABEL_PREFIX, Label, Queue, Spec};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Adds a label for every path of the queue with a value in the payload.
///
/// There is no label for a missing value, null, an object, a list, or a value that is longer than
/// a label, and none at all when the payload is not JSON.
pub(crate) fn add_labels(spec: &mut Spec, queue: &Queue) {
    if queue.index_paths.is_empty() || !is_json(&spec.content_type) {
        return;
    }
    let found = values(&queue.index_paths, &spec.payload);
    if found.iter().all(Option::is_none) {
        return;
    }
    let mut labels = std::mem::take(&mut spec.labels).into_vec();
    for (path, value) in queue.index_paths.iter().zip(found) {
        if let Some(value) = value {
            let key = format!("{INDEXED_LABEL_PREFIX}{path}").into();
            labels.push(Label { key, value: value.into() });
        }
    }
    labels.sort();
    spec.labels = labels.into();
}

/// Replaces the labels that [`add_labels`] added before.
pub(crate) fn replace_labels(spec: &mut Spec, queue: &Queue) {
    let labels = std::mem::take(&mut spec.labels).into_vec();
    spec.labels = labels.into_iter().filter(|label| !label.is_indexed()).collect();
    add_labels(spec, queue);
}

/// Whether a media type is JSON.
fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let ends_with = |end: &str| {
        let from = media.len().checked_sub(end.len());
        from.and_then(|from| media.get(from..)).is_some_and(|m| m.eq_ignore_ascii_case(end))
    };
    media.eq_ignore_ascii_case("application/json") || ends_with("+json")
}

/// Returns the value of each path.
fn values(paths: &[Box<str>], payload: &[u8]) -> Vec<Option<String>> {
    let mut found = vec![None; paths.len()];
    let wanted = paths.iter().enumerate().map(|(at, path)| (at, &**path)).collect();
    let mut json = serde_json::Deserializer::from_slice(payload);
    let read = ValueSeed { wanted, found: &mut found }.deserialize(&mut json);
    // A payload with a syntax error later on has no labels, rather than some.
    if read.is_err() || json.end().is_err() {
        found.fill(None);
    }
    found
}

/// Reads a value that some paths lead to. Each path is the part that remains below this value.
struct ValueSeed<'a> {
    wanted: Vec<(usize, &'a str)>,
    found: &'a mut [Option<String>],
}

impl ValueSeed<'_> {
    fn record(&mut self, value: String) {
        for (at, rest) in &self.wanted {
            if rest.is_empty() && value.len() as u64 <= KEY_BYTES {
                self.found[*at] = Some(value.clone());
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

/// Reads the name of an object member and returns the paths that lead through it.
struct NameSeed<'a, 'b> {
    wanted: &'b [(usize, &'a str)],
}

impl<'de, 'a> DeserializeSeed<'de> for NameSeed<'a, '_> {
    type Value = Vec<(usize, &'a str)>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for NameSeed<'a, '_> {
    type Value = Vec<(usize, &'a str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        // In a path, a name with a dot would look like two names.
        if name.is_empty() || name.contains('.') {
            return Ok(Vec::new());
        }
        let below = |path: &'a str| match path.strip_prefix(name)? {
            "" => Some(""),
            rest => rest.strip_prefix('.').filter(|rest| !rest.is_empty()),
        };
        Ok(self.wanted.iter().filter_map(|(at, path)| Some((*at, below(path)?))).collect())
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        self.record(value.to_string());
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        self.record(value.to_string());
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.record(value.to_string());
        Ok(())
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        // As serde_json writes it.
        if let Some(number) = serde_json::Number::from_f64(value) {
            self.record(number.to_string());
        }
        Ok(())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        if value.len() as u64 <= KEY_BYTES {
            self.record(value.to_owned());
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { wanted, found } = self;
        while let Some(wanted) = map.next_key_seed(NameSeed { wanted: &wanted })? {
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            // Of two members with one name the last one counts, as for most JSON readers.
            for (at, _) in &wanted {
                found[*at] = None;
            }
            map.next_value_seed(ValueSeed { wanted, found: &mut *found })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
