//! Ids of jobs. Callers may spell a UUID in upper case, in braces or without hyphens; servers return
//! it in lower case with hyphens. Every id of a caller is parsed once, here.

use uuid::Uuid;

/// The spelling of servers. A text that is no UUID stays as it is: the server names the field.
pub(crate) fn canonical(id: impl Into<String>) -> String {
    let id = id.into();
    match Uuid::try_parse(id.trim()) {
        Ok(uuid) => uuid.hyphenated().to_string(),
        Err(_) => id,
    }
}

#[cfg(test)]
mod tests {
    //! All spellings of random ids, and texts that are no id.

    use super::*;

    #[test]
    fn all_spellings_of_an_id_are_one_id() {
        for _ in 0..1_000 {
            let uuid = Uuid::new_v4();
            let id = uuid.to_string();
            for spelling in [
                id.to_uppercase(),
                uuid.simple().to_string(),
                uuid.braced().to_string().to_uppercase(),
                uuid.urn().to_string(),
                format!(" {id}\n"),
            ] {
                assert_eq!(canonical(&spelling), id, "{spelling:?}");
            }
        }
        for text in ["", "j1", "0190", "{}", "é"] {
            assert_eq!(canonical(text), text);
        }
    }
}
