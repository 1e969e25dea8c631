//! The settings as flags of `serve` and `dev`, built from the table for clap.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::kind::Kind;
use super::load::Sources;
use super::table::{Setting, TABLE};

/// What the command line says about the settings.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    /// By the name of the setting.
    pub values: Vec<(String, String)>,
    /// `--config`, or `SENTINEL_CONFIG`.
    pub file: Option<PathBuf>,
    /// `--print-config`.
    pub print: bool,
}

impl Flags {
    /// The sources as this process sees them.
    ///
    /// # Errors
    /// The file that was named can not be read.
    pub fn sources(self) -> anyhow::Result<Sources> {
        use anyhow::Context;
        let file = match self.file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("read the configuration {}", path.display()))?;
                Some((path, text))
            }
        };
        // A variable that is not UTF-8 can not be a valid setting; it is read lossily so
        // that the mistake is reported like any other.
        let env = std::env::vars_os()
            .map(|(key, value)| {
                (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .filter(|(key, _)| key.starts_with("SENTINEL_"))
            .collect();
        Ok(Sources { file, env, flags: self.values, host: host_name() })
    }
}

/// The name of the host; `localhost` when it has none.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() || name.len() > 128 { "localhost".to_owned() } else { name }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = TABLE
            .iter()
            .filter_map(|setting| {
                let text = matches.get_one::<String>(setting.name)?;
                Some((setting.name.to_owned(), text.clone()))
            })
            .collect();
        let file = matches.get_one::<PathBuf>("config").cloned();
        Ok(Flags { values, file, print: matches.get_flag("print_config") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("SENTINEL_CONFIG")
            .hide_env_values(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("TOML file with settings; docs/configuration.md lists them");
        let print = Arg::new("print_config")
            .long("print-config")
            .action(ArgAction::SetTrue)
            .help("Print the effective settings as TOML, with where each came from, and exit");
        TABLE.iter().map(flag).fold(command.arg(file).arg(print), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let mut help = format!("{}\n[env: {}]", setting.help, setting.env());
    help.push_str(&format!(" [default: {}]", setting.default_text()));
    if let Some(range) = setting.kind.range() {
        help.push_str(&format!(" [allowed: {range}]"));
    }
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.kind.placeholder())
        .help_heading(setting.group)
        .help(help);
    match setting.kind {
        // `--insecure` alone means true; `--insecure=false` overrides a file.
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}
