//! The arguments of the program, and its help.

use std::path::PathBuf;

use clap::Parser;
use shmflow_bridge::pattern::Pattern;
use shmflow_bridge::{Network, Settings, encoder};

/// Topics of shmflow between hosts, over Zenoh
///
/// Each host runs a bridge. A topic of one host appears on the others as a topic of the same
/// name, with its frames, their metadata and times. Frames cross only while a process at the
/// other side reads them. What a bridge writes no bridge sends back.
#[derive(Debug, Parser)]
#[command(
    name = "shmflow-bridge",
    version,
    verbatim_doc_comment,
    arg_required_else_help = true,
    after_help = "\
Examples:
  shmflow-bridge --topic '*' --listen tcp/0.0.0.0:7447              one host
  shmflow-bridge --topic '*' --connect tcp/192.168.1.2:7447         the other
  shmflow-bridge --topic 'cam*' --send --prefix robot1 --connect tcp/base:7447
  shmflow-bridge --topic 'cam*' --encode 'cam*' --connect tcp/base:7447
  shmflow-bridge --mode router --listen tcp/0.0.0.0:7447            passes on what others send

Exit status:
  0  it was ended by a signal
  1  an error, printed to the standard error output
  2  invalid command line

Environment:
  SHMFLOW_DIR  directory of the topics, without --dir
  RUST_LOG     what Zenoh tells on the standard output, as zenoh=debug"
)]
pub(crate) struct Args {
    /// Topics, by their names on this host; * stands for any characters, ? for one
    ///
    /// Those of other hosts have that host's --prefix in front. May be given several times.
    #[arg(long = "topic", value_name = "PATTERN", required_unless_present = "mode")]
    topics: Vec<String>,
    /// Only send topics of this host [default: both directions]
    #[arg(long)]
    send: bool,
    /// Only show topics of other hosts here
    #[arg(long)]
    receive: bool,
    /// In front of the names of this host's topics on others: robot1 makes cam0 robot1/cam0
    #[arg(long, value_name = "NAME")]
    prefix: Option<String>,
    /// Connect to another bridge, or a router of Zenoh, as tcp/192.168.1.2:7447
    #[arg(long, value_name = "ENDPOINT")]
    connect: Vec<String>,
    /// Let others connect, as tcp/0.0.0.0:7447
    #[arg(long, value_name = "ENDPOINT")]
    listen: Vec<String>,
    /// Look for other bridges on the local network, by multicast
    #[arg(long)]
    discover: bool,
    /// Configuration file of Zenoh: TLS, access control, and what else it has
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to take part; routers pass on what others send
    #[arg(long, value_parser = ["peer", "client", "router"])]
    mode: Option<String>,
    /// Send at most so many frames a second of each topic, the newest ones
    ///
    /// Not of encoded streams, whose frames need those before them.
    #[arg(long, value_name = "FPS", value_parser = rate)]
    max_rate: Option<f64>,
    /// Encode these topics of raw video, while somebody reads them: cam0 is sent as cam0.h264
    ///
    /// By a pipeline of GStreamer in a process of its own. May be given several times.
    #[arg(long, value_name = "PATTERN")]
    encode: Vec<String>,
    /// The elements that encode, as gst-launch-1.0 takes them
    #[arg(long, value_name = "ELEMENTS", default_value = encoder::DEFAULT, hide_default_value = true)]
    encode_with: String,
    /// Send every frame, and again if need be; lossless producers wait for it
    #[arg(long, conflicts_with = "max_rate")]
    lossless: bool,
    /// Directory of the topics [default: $SHMFLOW_DIR, or else /dev/shm]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Permissions of the topics that it makes here, in octal [default: 0600]
    #[arg(long, value_name = "MODE", value_parser = perms)]
    perms: Option<u32>,
    /// Print what was done as a line of JSON so often
    #[arg(long, value_name = "SECONDS", value_parser = rate)]
    pub(crate) stats: Option<f64>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.001..=1e6).contains(&rate) { Ok(rate) } else { Err("it must be between 0.001 and 1000000".into()) }
}

fn perms(text: &str) -> Result<u32, String> {
    let perms = u32::from_str_radix(text, 8).map_err(|_| "it is not an octal number, as 0640".to_owned())?;
    if perms <= 0o777 { Ok(perms) } else { Err("it must be at most 0777".into()) }
}

impl Args {
    /// What the bridge is to do.
    pub(crate) fn settings(&self) -> Result<Settings, String> {
        let is_reachable =
            self.discover || self.config.is_some() || !self.connect.is_empty() || !self.listen.is_empty();
        if !is_reachable {
            return Err("there is nobody to talk to: give --connect, --listen, --discover or --config".into());
        }
        let prefix = self.prefix.as_deref().map(|prefix| prefix.trim_end_matches('/'));
        let prefix = prefix.map_or_else(String::new, |prefix| format!("{prefix}/"));
        if !prefix.is_empty() {
            shmflow::Topic::new(&prefix, None).map_err(|error| format!("--prefix: {error}"))?;
        }
        Ok(Settings {
            dir: self.dir.clone(),
            topics: self.topics.iter().map(|text| Pattern::new(text)).collect(),
            send: self.send || !self.receive,
            receive: self.receive || !self.send,
            prefix,
            max_rate: self.max_rate,
            encode: self.encode.iter().map(|text| Pattern::new(text)).collect(),
            encoder: self.encode_with.clone(),
            lossless: self.lossless,
            perms: self.perms,
            network: Network {
                connect: self.connect.clone(),
                listen: self.listen.clone(),
                config: self.config.clone(),
                discover: self.discover,
                mode: self.mode.clone(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn settings(args: &[&str]) -> Result<Settings, String> {
        Args::try_parse_from([&["shmflow-bridge"], args].concat()).unwrap().settings()
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn both_directions_unless_one_is_asked_for() {
        let of = |extra: &[&str]| {
            let settings = settings(&[&["--topic", "*", "--discover"], extra].concat()).unwrap();
            (settings.send, settings.receive)
        };
        assert_eq!(of(&[]), (true, true));
        assert_eq!(of(&["--send"]), (true, false));
        assert_eq!(of(&["--receive"]), (false, true));
        assert_eq!(of(&["--send", "--receive"]), (true, true));
    }

    #[test]
    fn a_bridge_without_a_network_is_refused() {
        assert!(settings(&["--topic", "*"]).unwrap_err().contains("--connect"));
        assert!(settings(&["--topic", "*", "--discover", "--prefix", "a\nb"]).is_err());
        let robot = settings(&["--topic", "*", "--discover", "--prefix", "robot1"]).unwrap();
        assert_eq!(robot.prefix, "robot1/");
        let robot =
            settings(&["--topic", "*", "--discover", "--prefix", "robot1/", "--perms", "0640"]).unwrap();
        assert_eq!((robot.prefix.as_str(), robot.perms), ("robot1/", Some(0o640)));
    }
}
