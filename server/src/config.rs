//! What a server is told before it starts. `table` says each setting once; `load`
//! merges file, environment and flags and reports every mistake at once.

mod amount;
mod flags;
mod kind;
mod load;
mod near;
mod render;
mod store_url;
mod table;

#[cfg(test)]
mod tests;

pub use amount::{NotAnAmount, parse_bytes, parse_span, show_bytes, show_span};
pub use flags::Flags;
pub use kind::{Bad, Kind, Value};
pub use load::{Contradiction, Fault, Loaded, Mistake, Mistakes, Origin, Sources};
pub use render::to_markdown;
pub use store_url::StoreUrl;
pub use table::{Config, Setting, TABLE};

/// How the server was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `sentinel serve`: for production.
    Serve,
    /// `sentinel dev`: server and worker in one process, for a laptop.
    Dev,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// As written in the configuration.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// None for any other word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Form of the log lines.
    LogFormat {
        /// Pretty on a terminal, JSON otherwise.
        Auto = "auto",
        /// For people.
        Pretty = "pretty",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// How safe a change is before it is acknowledged.
    AckLevel {
        /// The store has it.
        Store = "store",
        /// Replicas of Redis have it.
        Replicated = "replicated",
        /// The ledger has it.
        Ledger = "ledger",
    }
}

words! {
    /// Who may call.
    Credentials {
        /// Whoever reaches the port. A key that is sent is checked all the same.
        Off = "off",
        /// Whoever has a key.
        Required = "required",
    }
}

words! {
    /// Colours in output for people.
    Color {
        /// On a terminal, unless NO_COLOR is set.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

impl Color {
    /// Whether to write colours to a stream, given whether it is a terminal.
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
