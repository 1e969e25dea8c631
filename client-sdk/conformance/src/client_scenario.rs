//! The scenarios of clients by name. Each runs against the client of every language.

mod calls;
mod connections;

use std::pin::Pin;

use crate::ClientProgram;

use calls::{
    client_burst, client_deadlines, client_error_details, client_id_spellings,
    client_retry_request_id,
};
use connections::{
    client_go_away, client_ipv6, client_plaintext_credential, client_second_endpoint,
    client_server_restart, client_tls_mistakes,
};

type ScenarioFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A test of one rule for clients.
#[derive(Clone, Copy)]
pub struct ClientScenario {
    /// The name, as on the command line.
    pub name: &'static str,
    run: fn(ClientProgram) -> ScenarioFuture,
}

impl ClientScenario {
    /// Runs the scenario against a client program.
    ///
    /// # Panics
    /// When the program violates the rule, with the expected behaviour.
    pub async fn run(&self, program: &ClientProgram) {
        (self.run)(program.clone()).await;
    }
}

/// Passes the names of the scenarios to a macro, so that a test harness can define a test for each.
#[macro_export]
macro_rules! for_each_client_scenario {
    ($each:ident) => {
        $each! {
            client_burst, client_deadlines, client_error_details, client_go_away,
            client_id_spellings, client_ipv6, client_plaintext_credential,
            client_retry_request_id, client_second_endpoint, client_server_restart,
            client_tls_mistakes,
        }
    };
}

macro_rules! table {
    ($($name:ident),* $(,)?) => {
        /// All scenarios of clients.
        pub const CLIENT_SCENARIOS: &[ClientScenario] = &[
            $(ClientScenario { name: stringify!($name), run: |program| Box::pin($name(program)) }),*
        ];
    };
}

for_each_client_scenario!(table);
