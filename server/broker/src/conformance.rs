//! What every store must do, as cases that any store runs with one call.

pub mod make;
