//! TLS and access control, by the files that docs/hosts.md shows.

use std::path::Path;
use std::process::Command;

use shmflow::StartAt;

use crate::support::{Bridge, Host, free_port, next, wait_until};

/// The blocks of configuration in the document.
fn blocks() -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hosts.md")).unwrap();
    let blocks = text.split("```json5\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn openssl(folder: &Path, line: &str) {
    let out = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
    assert!(out.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The file for `--config`, with certificates of an authority of its own beside it.
fn tls(folder: &Path) -> String {
    std::fs::create_dir(folder).unwrap();
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
    );
    openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout host.key -out host.csr");
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        folder,
        "x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out host.pem",
    );
    let mut config = blocks()[0].clone();
    for name in ["ca.pem", "host.pem", "host.key"] {
        config = config.replace(&format!("\"{name}\""), &format!("\"{}\"", folder.join(name).display()));
    }
    let path = folder.join("tls.json5");
    std::fs::write(&path, config).unwrap();
    path.display().to_string()
}

#[test]
fn by_tls_only_hosts_with_a_certificate_of_the_authority_take_part() {
    let (a, b, stranger) = (Host::new(), Host::new(), Host::new());
    let (own, other) = (tls(&a.0.join("keys")), tls(&stranger.0.join("keys")));
    let port = free_port();
    let endpoint = format!("tls/localhost:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmflow-bridge"));
    command.env("RUST_LOG", "zenoh_link_tls=warn");
    let bridge_a = Bridge::start_by(command, &a, &["--topic", "*", "--config", &own, "--listen", &endpoint]);
    let producer = a.producer("cam0");
    // Both trust `a`, so that it is `a` that refuses: one has a certificate of another authority, and one has none.
    let authority = |folder: &Path| format!("root_ca_certificate: \"{}\"", folder.join("ca.pem").display());
    let own_authority = authority(&a.0.join("keys"));
    let foreign = std::fs::read_to_string(&other).unwrap();
    let foreign = foreign.replace(&authority(&stranger.0.join("keys")), &own_authority);
    assert!(foreign.contains(&own_authority));
    let none = format!("{{ transport: {{ link: {{ protocols: [\"tls\"], tls: {{ {own_authority} }} }} }} }}");
    for (config, why) in [(foreign, "invalid peer certificate"), (none, "no certificates")] {
        std::fs::write(&other, config).unwrap();
        let _bridge = Bridge::start(&stranger, &["--topic", "*", "--config", &other, "--connect", &endpoint]);
        wait_until(&format!("it is refused: {why}"), || {
            assert!(stranger.topics().is_empty(), "{:?}", stranger.topics());
            bridge_a.told().contains(why).then_some(())
        });
    }
    // Nor does one that speaks no TLS.
    let plain = format!("tcp/127.0.0.1:{port}");
    let _stranger = Bridge::start(&stranger, &["--topic", "*", "--connect", &plain]);
    let _bridge_b = Bridge::start(&b, &["--topic", "*", "--config", &own, "--connect", &endpoint]);
    let mut consumer = b.consumer("cam0");
    bridge_a.wait_until_active("sent", "cam0", true);
    for number in 0..50 {
        producer.write(&[number]).unwrap();
        assert_eq!(next(&mut consumer)[0], number);
    }
    assert!(stranger.topics().is_empty(), "{:?}", stranger.topics());
}

#[test]
fn access_control_lets_only_those_topics_cross_that_it_names() {
    let (a, b) = (Host::new(), Host::new());
    let (config, endpoint) = (a.0.join("access.json5"), format!("tcp/127.0.0.1:{}", free_port()));
    std::fs::write(&config, &blocks()[1]).unwrap();
    let config = config.display().to_string();
    let bridge_a = Bridge::start(&a, &["--topic", "*", "--config", &config, "--listen", &endpoint]);
    let _bridge_b = Bridge::start(&b, &["--topic", "*", "--connect", &endpoint]);
    let (open, closed) = (a.producer("robot1/cam0"), a.producer("robot2/cam0"));
    let mut refused = shmflow::Consumer::builder("robot2/cam0").dir(&b.0).start(StartAt::Oldest);
    refused = refused.connect_timeout(std::time::Duration::from_secs(60));
    let (mut consumer, mut refused) = (b.consumer("robot1/cam0"), refused.open().unwrap());
    bridge_a.wait_until_active("sent", "robot1/cam0", true);
    for number in 0..50 {
        closed.write(&[number]).unwrap();
        open.write(&[number]).unwrap();
        assert_eq!(next(&mut consumer)[0], number);
    }
    assert!(refused.try_recv().unwrap().is_none());
}
