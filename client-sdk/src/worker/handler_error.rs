//! Why an attempt failed: a message, the chain of causes and where the error came from. Reading a
//! foreign error can panic, loop or write without an end, so all of its text is read by [`text_of`].

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::panic::Location;
use std::time::Duration;

use super::panics::{self, Panic};
use super::text::{floor_char_boundary, truncate};

/// The size limit of an error's message, and of its detail.
pub(crate) const MAX_TEXT_BYTES: usize = 16 * 1024;
/// The limit of causes that are read. An error can name itself as its cause.
const MAX_CAUSES: usize = 64;

/// Why an attempt failed, or that it should run again later.
///
/// Any `std::error::Error` converts into a retryable one, so `?` works. A handler can also return
/// its errors as `anyhow::Error`, `Box<dyn Error + Send + Sync>` or a type of its own; to return a
/// `HandlerError` there, use [`HandlerError::into_error`].
#[derive(Clone, Debug)]
pub struct HandlerError {
    message: String,
    code: String,
    retryable: bool,
    next_delay: Option<Duration>,
    detail: String,
    effect: Effect,
}

/// What the error does to the attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    Fail,
    Snooze(Duration),
    Release,
}

/// The parts of an error that are reported.
pub(crate) struct ErrorParts {
    pub(crate) message: String,
    pub(crate) code: String,
    pub(crate) retryable: bool,
    pub(crate) next_delay: Option<Duration>,
    pub(crate) detail: String,
}

impl HandlerError {
    /// An error after which another attempt may succeed. `message` is truncated to 16 KiB.
    #[track_caller]
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(message, true).with_detail(format!("at {}", Location::caller()))
    }

    /// An error after which no attempt can succeed: the job becomes FAILED at once.
    #[track_caller]
    pub fn non_retryable(message: impl Into<String>) -> Self {
        Self::new(message, false).with_detail(format!("at {}", Location::caller()))
    }

    /// Not a failure: the job runs again after this delay (0..366 d), and the attempt does not
    /// count. For handlers of typed jobs, which return their result or an error.
    pub fn snooze(delay: Duration) -> Self {
        let text = format!("the handler snoozed the job for {delay:?}");
        Self { effect: Effect::Snooze(delay), ..Self::new(text, true) }
    }

    /// Not a failure: the job goes back to its queue for another worker, and the attempt does not
    /// count.
    pub fn release() -> Self {
        Self { effect: Effect::Release, ..Self::new("the handler released the job", true) }
    }

    pub(crate) fn new(message: impl Into<String>, retryable: bool) -> Self {
        Self {
            message: message.into(),
            code: String::new(),
            retryable,
            next_delay: None,
            detail: String::new(),
            effect: Effect::Fail,
        }
    }

    /// Sets an error code of the handler's choice, for grouping. Truncated to 128 bytes.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Overrides the delay of the retry policy. 0..30 d.
    pub fn with_next_delay(mut self, delay: Duration) -> Self {
        self.next_delay = Some(delay);
        self
    }

    /// Replaces the detail, for people who look for the cause: a stack or a chain of causes.
    /// Truncated to 16 KiB.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = truncate(detail.into(), MAX_TEXT_BYTES);
        self
    }

    /// Whether another attempt may succeed.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The error message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error code. Empty when there is none.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The chain of causes and the place in the source. Empty when nothing is known.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// A standard error that keeps the code, the delay and whether a retry helps, also after
    /// callers have wrapped it, for example with `anyhow::Context`.
    pub fn into_error(self) -> impl StdError + Send + Sync + 'static {
        StandardError(Directive(self))
    }

    /// The error of a handler that panicked.
    pub(crate) fn panicked(panic: &Panic) -> Self {
        let Panic { message, place } = panic;
        Self::new(format!("the handler panicked: {message}"), true)
            .with_code("PANIC")
            .with_detail(format!("panicked: {message}\n{place}"))
    }

    pub(crate) fn effect(&self) -> Effect {
        self.effect
    }

    /// The parts of a failure. The message is never empty.
    pub(crate) fn into_parts(self) -> ErrorParts {
        let Self { message, code, retryable, next_delay, detail, effect: _ } = self;
        let message = if message.is_empty() { "(no message)".to_owned() } else { message };
        ErrorParts { message, code, retryable, next_delay, detail }
    }

    pub(crate) fn from_boxed(error: &(dyn StdError + Send + Sync + 'static)) -> Self {
        Self::from_chain(error, None)
    }

    /// Reads an error and its causes, up to a [`Directive`].
    fn from_chain(error: &dyn StdError, location: Option<&Location<'_>>) -> Self {
        let mut texts = vec![text_of(&error)];
        let mut directive = None;
        let mut cause = source_of(error);
        while let Some(inner) = cause {
            if let Some(Directive(found)) = inner.downcast_ref::<Directive>() {
                directive = Some(found);
                break;
            }
            if texts.len() > MAX_CAUSES {
                break;
            }
            texts.push(text_of(&inner));
            cause = source_of(inner);
        }
        let mut detail = BoundedText::default();
        // Fails when the text is full.
        let _ = write!(detail, "{}", texts.join("\ncaused by: "));
        if let Some(location) = location {
            let _ = write!(detail, "\nat {location}");
        }
        let message = truncate(texts.join(": "), MAX_TEXT_BYTES);
        match directive {
            Some(directive) if texts.len() == 1 => directive.clone(),
            Some(directive) => {
                let _ = write!(detail, "\n{}", directive.detail);
                Self { message, detail: detail.text, ..directive.clone() }
            }
            None => Self { detail: detail.text, ..Self::new(message, true) },
        }
    }
}

impl<E: StdError> From<E> for HandlerError {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::from_chain(&error, Some(Location::caller()))
    }
}

impl From<HandlerError> for Box<dyn StdError + Send + Sync> {
    fn from(error: HandlerError) -> Self {
        Box::new(StandardError(Directive(error)))
    }
}

/// A [`HandlerError`] as a standard error. Its source is the directive: wrappers erase the type of
/// the error itself, but not of its causes.
struct StandardError(Directive);

/// Marks the cause that says what the whole error does to the attempt.
struct Directive(HandlerError);

impl fmt::Display for StandardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.0.message)
    }
}

impl fmt::Debug for StandardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.0, f)
    }
}

impl StdError for StandardError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.retryable {
            true => f.write_str("another attempt may succeed"),
            false => f.write_str("no attempt can succeed"),
        }
    }
}

impl fmt::Debug for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Directive {}

/// A payload that is not JSON or does not have the expected type. In a handler it becomes a failure
/// that is not retryable, with code `BAD_PAYLOAD`: a retry would fail the same way.
#[derive(Debug)]
pub struct PayloadError(StandardError);

impl PayloadError {
    pub(crate) fn new(error: &serde_json::Error) -> Self {
        let error = HandlerError::new(format!("payload: {error}"), false).with_code("BAD_PAYLOAD");
        Self(StandardError(Directive(error)))
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for PayloadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

fn source_of<'a>(error: &'a dyn StdError) -> Option<&'a (dyn StdError + 'static)> {
    panics::guarded(|| error.source()).unwrap_or(None)
}

/// The text of a value, at most 16 KiB. Never panics, whatever the value does.
pub(crate) fn text_of(value: &dyn fmt::Display) -> String {
    let mut text = BoundedText::default();
    let written = panics::guarded(|| write!(text, "{value}"));
    if !matches!(written, Ok(Ok(()))) && !text.is_full {
        text.text.push_str("(the text of this error cannot be read)");
    }
    text.text
}

/// Text that refuses to grow beyond [`MAX_TEXT_BYTES`], cut at a character.
#[derive(Default)]
struct BoundedText {
    text: String,
    is_full: bool,
}

impl Write for BoundedText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = MAX_TEXT_BYTES - self.text.len().min(MAX_TEXT_BYTES);
        self.is_full |= part.len() > room;
        self.text.push_str(&part[..floor_char_boundary(part, room)]);
        if self.is_full { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
