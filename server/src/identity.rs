//! Who calls, and what they may: one layer in front of all services turns a credential into a
//! `Caller`, one table says which role may make which call.
//!
//! The layer decides by role alone, before a message is read. Which queues a call concerns is
//! in its message, so the handler asks the `Caller`; a handler that forgets to is found out
//! by the layer, which then keeps its answer back.

mod caller;
mod credential;
mod dev_token;
mod keyring;
mod layer;
mod rules;
mod trail;

pub(crate) use caller::Caller;
pub use credential::Credential;
pub(crate) use dev_token::leave as leave_dev_token;
pub(crate) use keyring::{Keyring, NotMade, make as make_key};
pub(crate) use layer::Identify;
pub use rules::to_markdown;
pub(crate) use trail::Trail;

#[cfg(test)]
mod tests;
