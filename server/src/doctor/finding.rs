//! The result of one check.

use serde::Serialize;

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// The checked component, such as `store memory`.
    pub(crate) component: &'static str,
    pub(crate) severity: Severity,
    /// What was found.
    pub(crate) message: String,
    /// What to do; none without a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As recommended.
    Ok,
    /// It works, but less well or less safely than recommended.
    Warning,
    /// It does not work, or it can lose acknowledged data.
    Error,
}

impl Finding {
    pub(super) fn ok(component: &'static str, message: impl Into<String>) -> Self {
        Self { component, severity: Severity::Ok, message: message.into(), remedy: None }
    }

    pub(super) fn warning(
        component: &'static str,
        message: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        let severity = Severity::Warning;
        Self { component, severity, message: message.into(), remedy: Some(remedy) }
    }

    pub(super) fn error(
        component: &'static str,
        message: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        let severity = Severity::Error;
        Self { component, severity, message: message.into(), remedy: Some(remedy) }
    }
}
