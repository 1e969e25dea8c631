//! The path template of an HTTP rule, such as `/v1/jobs/{id}:cancel`.

use percent_encoding::percent_decode_str;

use crate::error::GatewayError;

/// A parsed path template.
#[derive(Clone, Debug)]
pub(crate) struct PathTemplate {
    pub(crate) text: String,
    segments: Vec<Segment>,
    verb: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// The path of a field in the request message.
    Field(String),
}

/// The paths of fields in the request message, and their values in the path of a URL.
pub(crate) type Captures<'a> = Vec<(&'a str, String)>;

impl PathTemplate {
    /// Parses the part of the google.api.http grammar that the API uses: literals, fields of one
    /// segment, and a verb at the end.
    ///
    /// # Panics
    /// The template uses another part of the grammar. A test parses all templates of the API.
    pub(crate) fn parse(text: &str) -> Self {
        let (path, verb) = match text.rsplit_once(':') {
            Some((path, verb)) if !verb.contains('/') => (path, Some(verb.to_owned())),
            _ => (text, None),
        };
        let segment = |text: &str| match text.strip_prefix('{') {
            Some(rest) => {
                let field = rest.strip_suffix('}').expect("a field is enclosed in braces");
                assert!(!field.contains(['=', '*']), "{text}: patterns are not supported");
                Segment::Field(field.to_owned())
            }
            None => Segment::Literal(text.to_owned()),
        };
        let segments = path.trim_start_matches('/').split('/').map(segment).collect();
        Self { text: text.to_owned(), segments, verb }
    }

    /// Returns the path as OpenAPI shows it. A nested field goes by its last name: many OpenAPI
    /// tools do not take dots in braces, and all rules name the same path segment alike.
    pub(crate) fn openapi_path(&self) -> String {
        let mut path = self.text.clone();
        for field in self.fields() {
            let name = last_segment(field);
            path = path.replace(&format!("{{{field}}}"), &format!("{{{name}}}"));
        }
        path
    }

    /// Returns the paths of the fields in the template.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// Matches a percent-encoded path. Returns `None` when it does not match, and an error when
    /// a value in it is not valid percent-encoding.
    pub(crate) fn matches(&self, path: &str) -> Option<Result<Captures<'_>, GatewayError>> {
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut captures = Vec::new();
        for segment in &self.segments {
            let text = segments.next()?;
            match segment {
                Segment::Literal(literal) if literal == text => {}
                Segment::Literal(_) => return None,
                // A colon starts the verb; a colon in a value is encoded as %3A.
                Segment::Field(_) if text.is_empty() || text.contains(':') => return None,
                Segment::Field(field) => captures.push((field.as_str(), text)),
            }
        }
        if segments.next().is_some() {
            return None;
        }
        let decode = |(field, text): (_, &str)| Ok((field, decode(field, text)?));
        Some(captures.into_iter().map(decode).collect())
    }
}

/// Returns the part of a field path behind its last dot.
pub(crate) fn last_segment(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Decodes percent-encoded text. `field` is the path that an error names.
pub(crate) fn decode(field: &str, text: &str) -> Result<String, GatewayError> {
    let invalid = || GatewayError::invalid_field(field, "is not percent-encoded UTF-8");
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let digits = rest.as_bytes().get(at + 1..at + 3).ok_or_else(invalid)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(invalid());
        }
        rest = &rest[at + 3..];
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| invalid())?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(template: &str, path: &str) -> Option<Vec<(String, String)>> {
        let template = PathTemplate::parse(template);
        let captures = template.matches(path)?.expect("valid percent-encoding");
        Some(captures.into_iter().map(|(field, text)| (field.to_owned(), text)).collect())
    }

    #[test]
    fn a_template_matches_only_whole_paths() {
        let id = |text: &str| Some(vec![("id".to_owned(), text.to_owned())]);
        assert_eq!(captures("/v1/jobs/{id}", "/v1/jobs/a"), id("a"));
        assert_eq!(captures("/v1/jobs/{id}", "/v1/jobs/a%3Ab%2F"), id("a:b/"));
        assert_eq!(captures("/v1/jobs/{id}:cancel", "/v1/jobs/a:cancel"), id("a"));
        assert_eq!(captures("/v1/jobs:bulk", "/v1/jobs:bulk"), Some(vec![]));
        for other in ["/v1/jobs", "/v1/jobs/", "/v1/jobs/a/", "/v1/jobs/a:cancel", "/v1/job/a"] {
            assert_eq!(captures("/v1/jobs/{id}", other), None, "{other}");
        }
    }

    #[test]
    fn invalid_percent_encoding_of_a_field_is_refused() {
        let template = PathTemplate::parse("/v1/jobs/{id}");
        for path in ["/v1/jobs/%", "/v1/jobs/%4", "/v1/jobs/%zz", "/v1/jobs/%ff"] {
            assert!(template.matches(path).unwrap().is_err(), "{path}");
        }
    }
}
