//! Values of a payload that its queue wants to search by: copied to labels before the spec is
//! encoded, so that every list, count and watch by labels finds them, and nothing is written
//! twice. Only jobs of queues that declare paths are looked at.
//!
//! The payload is read once from its beginning to its end, without a tree of it: what no path
//! leads to is skipped.

use std::fmt;

use sentinel_domain::limits::KEY_BYTES;
use sentinel_domain::{INDEXED_LABEL, Label, Queue, Spec};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Adds what the payload says under the paths of its queue. A value that is missing, null, an
/// object, a list, or longer than a label may be has no label; neither has any where the payload
/// is no JSON.
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
            let key = format!("{INDEXED_LABEL}{path}").into();
            labels.push(Label { key, value: value.into() });
        }
    }
    labels.sort();
    spec.labels = labels.into();
}

/// What [`add_labels`] adds, in the place of what it added before.
pub(crate) fn renew_labels(spec: &mut Spec, queue: &Queue) {
    let labels = std::mem::take(&mut spec.labels).into_vec();
    spec.labels = labels.into_iter().filter(|label| !label.is_indexed()).collect();
    add_labels(spec, queue);
}

/// Whether a media type promises JSON.
fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let ends_with = |end: &str| {
        let from = media.len().checked_sub(end.len());
        from.and_then(|from| media.get(from..)).is_some_and(|m| m.eq_ignore_ascii_case(end))
    };
    media.eq_ignore_ascii_case("application/json") || ends_with("+json")
}

/// What is there under each path.
fn values(paths: &[Box<str>], payload: &[u8]) -> Vec<Option<String>> {
    let mut found = vec![None; paths.len()];
    let wanted = paths.iter().enumerate().map(|(at, path)| (at, &**path)).collect();
    let mut json = serde_json::Deserializer::from_slice(payload);
    let read = Below { wanted, found: &mut found }.deserialize(&mut json);
    // What is damaged further on is not half indexed.
    if read.is_err() || json.end().is_err() {
        found.fill(None);
    }
    found
}

/// Reads a value to which some paths lead; each is what is left of it from here on.
struct Below<'a> {
    wanted: Vec<(usize, &'a str)>,
    found: &'a mut [Option<String>],
}

impl Below<'_> {
    fn note(&mut self, value: String) {
        for (at, rest) in &self.wanted {
            if rest.is_empty() && value.len() as u64 <= KEY_BYTES {
                self.found[*at] = Some(value.clone());
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

/// A member of an object, or what the wanted ones of them have left behind its name.
struct Member<'a, 'b> {
    wanted: &'b [(usize, &'a str)],
}

impl<'de, 'a> DeserializeSeed<'de> for Member<'a, '_> {
    type Value = Vec<(usize, &'a str)>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Member<'a, '_> {
    type Value = Vec<(usize, &'a str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        // A path can not tell it from two names.
        if name.is_empty() || name.contains('.') {
            return Ok(Vec::new());
        }
        let behind = |path: &'a str| match path.strip_prefix(name)? {
            "" => Some(""),
            rest => rest.strip_prefix('.').filter(|rest| !rest.is_empty()),
        };
        Ok(self.wanted.iter().filter_map(|(at, path)| Some((*at, behind(path)?))).collect())
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        self.note(value.to_string());
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        self.note(value.to_string());
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.note(value.to_string());
        Ok(())
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        // As JSON writes it.
        if let Some(number) = serde_json::Number::from_f64(value) {
            self.note(number.to_string());
        }
        Ok(())
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        if value.len() as u64 <= KEY_BYTES {
            self.note(value.to_owned());
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
        while let Some(wanted) = map.next_key_seed(Member { wanted: &wanted })? {
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            // Of two members of one name the last one counts, as for most readers.
            for (at, _) in &wanted {
                found[*at] = None;
            }
            map.next_value_seed(Below { wanted, found: &mut *found })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
