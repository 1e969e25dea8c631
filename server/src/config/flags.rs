//! The settings as flags of `sentinel serve` and `sentinel dev`, generated from the table.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::load::Sources;
use super::table::{Setting, TABLE};
use super::value::ValueType;

/// The settings on the command line.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    /// Values by the name of the setting.
    pub values: Vec<(String, String)>,
    /// `--config`, or `SENTINEL_CONFIG`.
    pub file: Option<PathBuf>,
    /// `--print-config`.
    pub print: bool,
}

impl Flags {
    /// Reads the configuration file and the environment of this process.
    ///
    /// # Errors
    /// The configuration file cannot be read.
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
        // A value that is not UTF-8 is never valid. It is read lossily, so that it is reported
        // together with the other errors.
        let env = std::env::vars_os()
            .map(|(key, value)| {
                (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .filter(|(key, _)| key.starts_with("SENTINEL_"))
            .collect();
        Ok(Sources { file, env, flags: self.values, host: host_name() })
    }
}

/// Returns the host name, or `localhost` if it is empty or too long.
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
            .help("TOML file with settings; see docs/configuration.md");
        let print = Arg::new("print_config")
            .long("print-config")
            .action(ArgAction::SetTrue)
            .help("Print the effective settings as TOML with the origin of each, and exit");
        TABLE.iter().map(flag).fold(command.arg(file).arg(print), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let mut help = format!("{}\n[env: {}]", setting.help, setting.env());
    help.push_str(&format!(" [default: {}]", setting.default_text()));
    if let Some(range) = setting.value_type.range() {
        help.push_str(&format!(" [allowed: {range}]"));
    }
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.value_type.placeholder())
        .help_heading(setting.group)
        .help(help);
    match setting.value_type {
        // `--insecure` means true; `--insecure=false` overrides the file.
        ValueType::Bool => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}
