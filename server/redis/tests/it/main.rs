//! Tests of the store on real Redis servers, which they start themselves.

mod conformance;
mod server;
