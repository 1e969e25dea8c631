//! The path of an HTTP rule: `/v1/jobs/{id}:cancel`.

use percent_encoding::percent_decode_str;

use super::fault::Fault;

/// A parsed path.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) text: String,
    segments: Vec<Segment>,
    verb: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Word(String),
    /// The path of a field of the request.
    Field(String),
}

/// What the path of a request says about fields of the message.
pub(crate) type Captures<'a> = Vec<(&'a str, String)>;

impl Template {
    /// Of the grammar of google.api.http: words, fields of one segment, and a verb at the end.
    ///
    /// # Panics
    /// The contract has a path of another form; a test reads all of them.
    pub(crate) fn parse(text: &str) -> Self {
        let (path, verb) = match text.rsplit_once(':') {
            Some((path, verb)) if !verb.contains('/') => (path, Some(verb.to_owned())),
            _ => (text, None),
        };
        let segment = |text: &str| match text.strip_prefix('{') {
            Some(rest) => {
                let field = rest.strip_suffix('}').expect("a field in braces");
                assert!(!field.contains(['=', '*']), "{text}: patterns of several segments");
                Segment::Field(field.to_owned())
            }
            None => Segment::Word(text.to_owned()),
        };
        let segments = path.trim_start_matches('/').split('/').map(segment).collect();
        Self { text: text.to_owned(), segments, verb }
    }

    /// As it is described: without dots in braces, which tools do not read, and under one name
    /// for one place, whichever message the field is of.
    pub(crate) fn shown(&self) -> String {
        let mut shown = self.text.clone();
        for field in self.fields() {
            shown = shown.replace(&format!("{{{field}}}"), &format!("{{{}}}", last(field)));
        }
        shown
    }

    /// The fields in it.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.as_str()),
            Segment::Word(_) => None,
        })
    }

    /// Reads a path that is still percent-encoded. `None`: it is another's.
    pub(crate) fn read(&self, path: &str) -> Option<Result<Captures<'_>, Fault>> {
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let mut given = path.strip_prefix('/')?.split('/');
        let mut captured = Vec::new();
        for segment in &self.segments {
            let text = given.next()?;
            match segment {
                Segment::Word(word) if word == text => {}
                Segment::Word(_) => return None,
                // A colon begins a verb; one within a value is written %3A.
                Segment::Field(_) if text.is_empty() || text.contains(':') => return None,
                Segment::Field(field) => captured.push((field.as_str(), text)),
            }
        }
        if given.next().is_some() {
            return None;
        }
        let decode = |(field, text): (_, &str)| Ok((field, decode(field, text)?));
        Some(captured.into_iter().map(decode).collect())
    }
}

/// The name of the field at the end of a path of names.
pub(crate) fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Text behind percent-encoding.
pub(crate) fn decode(field: &str, text: &str) -> Result<String, Fault> {
    let wrong = || Fault::invalid(field, "is not percent-encoded UTF-8");
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let digits = rest.as_bytes().get(at + 1..at + 3).ok_or_else(wrong)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        rest = &rest[at + 3..];
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| wrong())?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(template: &str, path: &str) -> Option<Vec<(String, String)>> {
        let template = Template::parse(template);
        let read = template.read(path)?.expect("well encoded");
        Some(read.into_iter().map(|(field, text)| (field.to_owned(), text)).collect())
    }

    #[test]
    fn a_path_is_read_to_its_end_or_not_at_all() {
        let id = |text: &str| Some(vec![("id".to_owned(), text.to_owned())]);
        assert_eq!(read("/v1/jobs/{id}", "/v1/jobs/a"), id("a"));
        assert_eq!(read("/v1/jobs/{id}", "/v1/jobs/a%3Ab%2F"), id("a:b/"));
        assert_eq!(read("/v1/jobs/{id}:cancel", "/v1/jobs/a:cancel"), id("a"));
        assert_eq!(read("/v1/jobs:bulk", "/v1/jobs:bulk"), Some(vec![]));
        for other in ["/v1/jobs", "/v1/jobs/", "/v1/jobs/a/", "/v1/jobs/a:cancel", "/v1/job/a"] {
            assert_eq!(read("/v1/jobs/{id}", other), None, "{other}");
        }
    }

    #[test]
    fn bad_percent_encoding_is_the_fault_of_the_field() {
        let template = Template::parse("/v1/jobs/{id}");
        for path in ["/v1/jobs/%", "/v1/jobs/%4", "/v1/jobs/%zz", "/v1/jobs/%ff"] {
            assert!(template.read(path).unwrap().is_err(), "{path}");
        }
    }
}
