//! Handlers that end, return and report in odd ways, as far as Rust has any: panics of all kinds,
//! errors that do something when they are read, values without JSON.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::panic::panic_any;

use sentinel_client::Job;
use sentinel_client::worker::{HandlerError, JobContext, LogLevel};
use serde::{Deserialize, Serialize, Serializer};

type BoxError = Box<dyn StdError + Send + Sync>;

#[derive(Serialize, Deserialize)]
pub(crate) struct Index {
    index: usize,
}

/// A value whose destructor panics.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        // A panic while unwinding would end the process.
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

/// An error that does something odd when it is read.
#[derive(Debug)]
enum OddError {
    Panics,
    Refuses,
    Endless,
    OwnCause,
    PanickingCause,
    Empty,
}

impl fmt::Display for OddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OddError::Panics => panic!("no text"),
            OddError::Refuses => Err(fmt::Error),
            OddError::Endless => loop {
                f.write_str("é€🦀")?;
            },
            OddError::Empty => Ok(()),
            OddError::OwnCause | OddError::PanickingCause => f.write_str("odd"),
        }
    }
}

impl StdError for OddError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            OddError::OwnCause => Some(&OddError::OwnCause),
            OddError::PanickingCause => panic!("no cause"),
            _ => None,
        }
    }
}

pub(crate) async fn throw(job: JobContext) -> Result<(), BoxError> {
    let Index { index } = job.payload_json()?;
    match index % 14 {
        0 => panic!("text"),
        1 => panic!("text {index}"),
        2 => panic_any(42_u64),
        3 => panic_any(PanicsOnDrop),
        4 => panic_any(BoxError::from("boxed")),
        5 => panic!("{}", "é€🦀".repeat(200_000)),
        6 => panic!(),
        7 => Err(OddError::Panics.into()),
        8 => Err(OddError::Refuses.into()),
        9 => Err(OddError::Endless.into()),
        10 => Err(OddError::OwnCause.into()),
        11 => Err(OddError::PanickingCause.into()),
        12 => Err(OddError::Empty.into()),
        _ => Err("\0\u{1b}[31m".into()),
    }
}

/// The kind `return_hostile`.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReturnHostile {
    index: usize,
}

impl Job for ReturnHostile {
    const KIND: &'static str = "return_hostile";
    type Result = OddValue;
}

/// A value that has no JSON.
#[derive(Deserialize)]
#[serde(from = "()")]
pub(crate) struct OddValue(usize);

impl From<()> for OddValue {
    fn from((): ()) -> Self {
        Self(0)
    }
}

impl Serialize for OddValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        match self.0 % 13 {
            0 => f64::NAN.serialize(serializer),
            1 => f64::INFINITY.serialize(serializer),
            2 => f32::NEG_INFINITY.serialize(serializer),
            3 => BTreeMap::from([("items", [1.0, f64::NAN])]).serialize(serializer),
            4 => BTreeMap::from([(vec![1], 1)]).serialize(serializer),
            5 => BTreeMap::from([((), 1)]).serialize(serializer),
            6 => BTreeMap::from([(Some((1, 2)), 1)]).serialize(serializer),
            7 => BTreeMap::from([(None::<u8>, 1)]).serialize(serializer),
            8 => Err(S::Error::custom("refused")),
            9 => Err(S::Error::custom("é€🦀".repeat(200_000))),
            10 => Err(S::Error::custom("")),
            11 => std::sync::RwLock::new(f64::NAN).serialize(serializer),
            _ => ((1, Some(f32::NAN)), "text").serialize(serializer),
        }
    }
}

pub(crate) async fn return_value(
    _: JobContext,
    job: ReturnHostile,
) -> Result<OddValue, HandlerError> {
    Ok(OddValue(job.index))
}

pub(crate) async fn advise(job: JobContext) -> Result<&'static str, HandlerError> {
    let Index { index } = job.payload_json()?;
    let numbers = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63];
    let texts = [
        String::new(),
        "\0".to_owned(),
        "x".repeat(1 << 20),
        "é€🦀".repeat(100_000),
        "\u{1b}[31m\r\n\u{202e}".to_owned(),
        "\u{feff}\u{ffff}\u{10ffff}".to_owned(),
        "\n".repeat(5_000),
    ];
    let text = &texts[index % texts.len()];
    let (done, total) = (numbers[index % numbers.len()], numbers[(index / 2) % numbers.len()]);
    job.progress(done, total, text.as_str());
    job.log(LogLevel::Info, text);
    Ok("advised")
}

pub(crate) async fn throw_deep(_: JobContext) -> Result<(), BoxError> {
    #[derive(Debug)]
    struct Wrapped(&'static str, Option<Box<Wrapped>>);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    let innermost = Wrapped("innermost cause", None);
    let middle = Wrapped("middle", Some(Box::new(innermost)));
    Err(Wrapped("outermost", Some(Box::new(middle))).into())
}
