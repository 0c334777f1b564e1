//! The Zenoh session: what of its configuration is ours.

use std::path::PathBuf;

use zenoh::{Config, Session, Wait};

/// How the bridge takes part in the network.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Endpoints to connect to, as `tcp/192.168.1.2:7447`.
    pub connect: Vec<String>,
    /// Endpoints to listen on, as `tcp/0.0.0.0:7447`.
    pub listen: Vec<String>,
    /// A configuration file of Zenoh: TLS, access control.
    pub config: Option<PathBuf>,
    /// Look for other bridges on the local network, by multicast.
    pub discover: bool,
    /// `peer`, `client` or `router`; `None` for what the file says, or else `peer`.
    pub mode: Option<String>,
}

/// What is better for streams than Zenoh's own values. A file that says otherwise is believed.
const TUNED: &[(&str, &str)] = &[
    // A link that is dead is noticed in time, and after it is back, so are we.
    ("transport/link/tx/lease", "3000"),
    ("transport/unicast/open_timeout", "1500"),
    ("connect/retry", "{period_init_ms: 100, period_max_ms: 200, period_increase_factor: 2}"),
    // The ring holds what comes meanwhile. A frame of many parts is either dropped before its first, or sent, on whatever link.
    ("transport/link/tx/queue/congestion_control/drop/wait_before_drop", "50000"),
    ("transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments", "2000000"),
    ("transport/link/tx/queue/size/data", "8"),
    ("transport/link/rx/buffer_size", "1048576"),
    // Hosts are started in any order.
    ("connect/timeout_ms", "-1"),
    ("connect/exit_on_failure", "false"),
];

/// The configuration of a session.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn config(network: &Network) -> Result<Config, String> {
    let mut config = match &network.config {
        Some(path) => {
            Config::from_file(path).map_err(|error| format!("cannot use {}: {error}", path.display()))?
        }
        None => Config::default(),
    };
    let default = Config::default();
    let set = |config: &mut Config, key: &str, value: &str| {
        config
            .insert_json5(key, value)
            .map_err(|error| format!("Zenoh does not take {value} for {key}: {error}"))
    };
    for (key, value) in TUNED {
        if config.get_json(key).ok() == default.get_json(key).ok() {
            set(&mut config, key, value)?;
        }
    }
    let list = |endpoints: &[String]| serde_json::Value::from(endpoints.to_vec()).to_string();
    if let Some(mode) = &network.mode {
        set(&mut config, "mode", &serde_json::Value::from(mode.as_str()).to_string())?;
    }
    if !network.connect.is_empty() {
        set(&mut config, "connect/endpoints", &list(&network.connect))?;
    }
    if !network.listen.is_empty() {
        set(&mut config, "listen/endpoints", &list(&network.listen))?;
    } else if config.get_json("listen/endpoints").ok() == default.get_json("listen/endpoints").ok() {
        // Zenoh would listen on all addresses, in the clear.
        set(&mut config, "listen/endpoints", "[]")?;
    }
    // Zenoh would look for others, and be found by them.
    set(&mut config, "scouting/multicast/enabled", if network.discover { "true" } else { "false" })?;
    Ok(config)
}

/// Opens a session.
///
/// # Errors
/// Why it cannot be, for people.
pub(crate) fn open(network: &Network) -> Result<Session, String> {
    zenoh::open(config(network)?).wait().map_err(|error| format!("cannot join the network: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_says_counts_and_nothing_listens_unasked() {
        let network = Network { connect: vec!["tcp/[::1]:7447".into()], ..Network::default() };
        let config = config(&network).unwrap();
        assert_eq!(config.get_json("connect/endpoints").unwrap(), r#"["tcp/[::1]:7447"]"#);
        assert_eq!(config.get_json("listen/endpoints").unwrap(), "[]");
        assert_eq!(config.get_json("scouting/multicast/enabled").unwrap(), "false");
        assert_eq!(config.get_json("transport/link/tx/lease").unwrap(), "3000");
    }

    #[test]
    fn a_file_of_zenoh_is_believed() {
        let path = std::env::temp_dir().join(format!("shmflow-bridge-{}.json5", std::process::id()));
        std::fs::write(&path, "{ transport: { link: { tx: { lease: 7000 } } }, mode: 'router' }").unwrap();
        let config = config(&Network { config: Some(path.clone()), ..Network::default() });
        std::fs::remove_file(&path).unwrap();
        let config = config.unwrap();
        assert_eq!(config.get_json("transport/link/tx/lease").unwrap(), "7000");
        assert_eq!(config.get_json("transport/link/tx/queue/size/data").unwrap(), "8");
        assert_eq!(config.get_json("mode").unwrap(), r#""router""#);
        // Also with a file nothing listens, and nothing is looked for, that nobody asked for.
        assert_eq!(config.get_json("listen/endpoints").unwrap(), "[]");
        assert_eq!(config.get_json("scouting/multicast/enabled").unwrap(), "false");
    }

    #[test]
    fn a_wrong_mode_is_named() {
        let error = config(&Network { mode: Some("king".into()), ..Network::default() }).unwrap_err();
        assert!(error.contains("king"), "{error}");
    }
}
