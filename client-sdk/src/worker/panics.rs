//! Catches the panics of code that belongs to the application: handlers, texts of errors, hooks. No
//! payload of a panic, nor its destructor, can leave this module as a panic.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::Poll;

/// The future of a handler.
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

thread_local! {
    /// Whether this thread is polling a handler.
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of the handler happened.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Adds to the panic hook of the process that panics of handlers are recorded with their place. The
/// previous hook runs, too.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            record(info);
            previous(info);
        }));
    });
}

fn record(info: &PanicHookInfo<'_>) {
    // Fails while the thread exits.
    if !IN_HANDLER.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    let mut place = String::new();
    if let Some(location) = info.location() {
        let _ = write!(place, "at {location}");
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = write!(place, "\n{backtrace}");
    }
    let _ = PLACE.try_with(|cell| {
        if let Ok(mut cell) = cell.try_borrow_mut() {
            *cell = place;
        }
    });
}

/// Runs code that may panic.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(into_message)
}

/// A panic of a handler.
#[derive(Debug)]
pub(crate) struct Panic {
    /// Never empty.
    pub(crate) message: String,
    /// The location, and the backtrace if `RUST_BACKTRACE` is set. Empty when unknown.
    pub(crate) place: String,
}

/// Runs a handler to its end.
pub(crate) async fn catch<T>(future: BoxFuture<T>) -> Result<T, Panic> {
    let mut future = Some(future);
    let result = poll_fn(|cx| {
        let Some(running) = future.as_mut() else { return Poll::Pending };
        IN_HANDLER.set(true);
        PLACE.with_borrow_mut(String::clear);
        let polled = guarded(|| running.as_mut().poll(cx));
        IN_HANDLER.set(false);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(message) => Poll::Ready(Err(Panic { message, place: PLACE.take() })),
        }
    })
    .await;
    // The destructors of a handler that panicked may panic again.
    let _ = guarded(|| drop(future.take()));
    result
}

/// The message of a panic.
fn into_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // Dropping this payload could panic again, without an end.
        std::mem::forget(second);
    }
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "(no message)".to_owned())
}
