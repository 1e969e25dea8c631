//! Asks the store, which answers at once: the model has no other time than its own.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sentinel_store::StoreFuture;

pub(crate) fn now<T>(reply: StoreFuture<'_, T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(reply).poll(&mut context) {
        Poll::Ready(answer) => answer.expect("the oracle answers"),
        Poll::Pending => panic!("the oracle answers at once"),
    }
}
