//! The server's settings. `table` declares each setting once; `load` merges file, environment
//! and flags and reports all errors together.

mod conflict;
mod did_you_mean;
mod error;
mod flags;
mod load;
mod origin;
mod render;
mod secret_url;
mod table;
mod units;
mod value;

#[cfg(test)]
mod tests;

pub use conflict::Conflict;
pub use error::{ConfigError, ConfigErrorKind, ConfigErrors};
pub use flags::Flags;
pub use load::{Loaded, Sources};
pub use origin::Origin;
pub use render::to_markdown;
pub use secret_url::SecretUrl;
pub use table::{Config, Setting, TABLE};
pub use units::{UnitError, format_bytes, format_duration, parse_bytes, parse_duration};
pub use value::{Value, ValueError, ValueType};

/// The default of `data_dir` for `sentinel dev`.
pub(crate) const DEV_DATA_DIR: &str = "./.sentinel";

/// How the server was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `sentinel serve`: production.
    Serve,
    /// `sentinel dev`: server and worker in one process, for development.
    Dev,
}

macro_rules! named_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All values, as written in the configuration.
            pub const NAMES: &'static [&'static str] = &[$($value,)*];

            /// Returns the value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($value => Some($name::$variant),)* _ => None }
            }
        }
    };
}

named_values! {
    /// The format of log lines.
    LogFormat {
        /// Pretty on a terminal, JSON otherwise.
        Auto = "auto",
        /// Human-readable text.
        Pretty = "pretty",
        /// One JSON object per line.
        Json = "json",
    }
}

named_values! {
    /// The durability level that a commit reaches before it is acknowledged.
    AckLevel {
        /// Written to the store.
        Store = "store",
        /// Written to the store and to Redis replicas.
        Replicated = "replicated",
        /// Written to the ledger.
        Ledger = "ledger",
    }
}

named_values! {
    /// Whether calls need an API key.
    Credentials {
        /// Calls without a key are allowed. A key that is sent is still checked.
        Off = "off",
        /// Calls without a valid key are rejected.
        Required = "required",
    }
}

named_values! {
    /// When to colour human-readable output.
    Color {
        /// If the output is a terminal and NO_COLOR is not set.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

impl Color {
    /// Returns whether to colour a stream; `terminal` says whether the stream is a terminal.
    pub fn enabled(self, terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }
}
