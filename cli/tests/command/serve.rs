//! `serve`: what is answered, and to whom. What a person sees is in `browser.rs`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;
use shmflow::meta::{Detections, Finding, Kind, Meta, Object, VideoLayout};

use crate::support::Dir;
use crate::web::{Server, builder, coloured, picture, wait};

#[test]
fn the_page_and_its_data() {
    let dir = Dir::new();
    let server = Server::start(&dir, &[]);
    let page = server.get("/");
    assert!(page.status == 200 && page.text().contains("<title>shmflow</title>"), "{}", page.head);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{}", page.head);
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("access-control-allow-origin"), None);
    // All that the page names is there.
    for part in page.text().split('"').filter(|part| part.starts_with("/page/")) {
        assert_eq!(server.get(part).status, 200, "{part}");
    }
    assert_eq!((server.get("/page/../Cargo.toml").status, server.get("/page/none").status), (404, 404));
    assert_eq!(server.get("/api/topics").json(), Value::from(Vec::<Value>::new()));

    let _camera = picture(&dir, "robot/cam0", [255, 0, 0]);
    std::fs::write(dir.0.join("shmflow.broken.peers"), "junk").unwrap();
    wait("a look at the new topics", || server.get("/api/topics").json().as_array().unwrap().len() == 2);
    let told = server.get("/api/topics").json();
    let ls = dir.run(&["ls", "--json"]).json();
    for (told, listed) in told.as_array().unwrap().iter().zip(ls.as_array().unwrap()) {
        assert_eq!((&told["topic"], &told["state"]), (&listed["topic"], &listed["state"]));
        assert!(listed.as_object().unwrap().keys().all(|key| told.get(key).is_some()), "{told}\n{listed}");
    }
    let one = server.get("/api/topics/robot/cam0").json();
    assert_eq!((&one["what"], &one["no_picture"]), (&"RGB 320×180".into(), &Value::Null));
    assert!(server.get("/api/history").json()["robot/cam0"]["rate"][0].is_number());
    let unknown = server.get("/api/topics/robot/cma0");
    assert!(
        unknown.status == 404
            && unknown.json()["error"].as_str().unwrap().contains("did you mean `robot/cam0`")
    );
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        metrics.text().contains("shmflow_topic_frames_total{topic=\"robot/cam0\"} 1\n"),
        "{}",
        metrics.text()
    );
    assert_eq!(server.get("/nothing").status, 404);
}

#[test]
fn a_picture_is_the_newest_and_asked_for_again_only_if_it_is_another() {
    let dir = Dir::new();
    let producer = picture(&dir, "cam", [255, 0, 0]);
    let server = Server::start(&dir, &[]);
    let first = server.get("/topics/cam.jpg");
    assert_eq!((first.status, first.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!((first.header("shmflow-seq"), first.header("cache-control")), (Some("1"), Some("no-store")));
    assert!(first.body.starts_with(b"\xff\xd8\xff"));
    // Encoded once: two ask for one picture and get the same.
    assert_eq!(server.get("/topics/cam.jpg").body, first.body);
    let has = format!("If-None-Match: {}\r\n", first.header("etag").unwrap());
    assert_eq!(server.ask("/topics/cam.jpg", &has).status, 304);
    // It waits for the next one when it is told to.
    let waiting = server.connect("/topics/cam.jpg?wait=30", &has);
    let found = Detections::new(vec![Finding::Object(Object::new("cat", 0.5, 1, 2, 30, 40))], Vec::new());
    let (meta, bytes) = coloured([0, 0, 255]);
    producer.write_with(&bytes, &meta.entry(&found).unwrap()).unwrap();
    let mut next = String::new();
    BufReader::new(waiting).read_line(&mut next).unwrap();
    assert!(next.contains("200 OK"), "{next}");
    let frame = server.get("/topics/cam.frame?size=small");
    assert_eq!(frame.header("shmflow-seq"), Some("2"));
    let len = u32::from_be_bytes(frame.body[..4].try_into().unwrap()) as usize;
    let about: Value = serde_json::from_slice(&frame.body[4..4 + len]).unwrap();
    assert_eq!((&about["seq"], &about["width"], &about["height"]), (&2.into(), &320.into(), &180.into()));
    assert_eq!(about["meta"]["detections"][0]["findings"][0]["label"], "cat");
    assert!(frame.body[4 + len..].starts_with(b"\xff\xd8\xff"));
    for (query, says) in
        [("size=huge", "size is"), ("wait=x", "wait is"), ("wait=-1", "wait is"), ("wait=NaN", "wait is")]
    {
        let answer = server.get(&format!("/topics/cam.jpg?{query}"));
        assert!(answer.status == 400 && answer.text().contains(says), "{query}: {}", answer.text());
    }
}

#[test]
fn a_small_picture_is_smaller() {
    let dir = Dir::new();
    let producer = builder(&dir, "hd").open().unwrap();
    let (layout, len) = VideoLayout::standard("I420", 1920, 1080).unwrap();
    let bytes: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
    producer.write_with(&bytes, &Meta::new(Kind::Video).video(layout)).unwrap();
    let server = Server::start(&dir, &[]);
    // Rows and columns in the frame header of the JPEG.
    let size = |body: &[u8]| {
        let at = body.windows(2).position(|two| two == b"\xff\xc0").unwrap();
        let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        (number(at + 7), number(at + 5))
    };
    assert_eq!(size(&server.get("/topics/hd.jpg").body), (1920, 1080));
    assert_eq!(size(&server.get("/topics/hd.jpg?size=small").body), (640, 360));
}

#[test]
fn a_name_is_data() {
    let dir = Dir::new();
    let server = Server::start(&dir, &[]);
    for (name, path) in [
        ("a/b", "a/b"),
        ("a/b", "a%2Fb"),
        ("a/../b", "a%2F..%2Fb"),
        ("..", ".."),
        ("/etc/passwd", "%2Fetc%2Fpasswd"),
        ("x.jpg", "x.jpg"),
        ("50 % ä?#&<b>", "50%20%25%20%C3%A4%3F%23%26%3Cb%3E"),
    ] {
        let _producer = picture(&dir, name, [1, 2, 3]);
        assert_eq!(server.get(&format!("/topics/{path}.jpg")).status, 200, "{name}");
        let told = server.get(&format!("/api/topics/{path}"));
        assert_eq!(told.json()["topic"], name, "{name}");
    }
    assert_eq!(server.get("/topics/%FF.jpg").status, 400);
    assert_eq!(server.get("/topics/%0A.jpg").status, 400);
    assert_eq!(server.get(&format!("/topics/{}.jpg", "x".repeat(300))).status, 400);
    assert_eq!((server.get("/topics/").status, server.get("/topics/cam").status), (404, 404));
}

#[test]
fn what_is_encoded_passes_as_it_is_or_says_why_not() {
    let dir = Dir::new();
    let server = Server::start(&dir, &[]);
    let write = |topic: &str, caps: &str, bytes: &[u8]| {
        let producer = builder(&dir, topic).open().unwrap();
        producer.write_with(bytes, &Meta::new(Kind::Packet).caps(caps)).unwrap();
        producer
    };
    let jpeg = b"\xff\xd8\xff\xe0 a JPEG \xff\xd9";
    let _jpeg = write("jpeg", "image/jpeg, width=(int)4, height=(int)2", jpeg);
    assert_eq!(server.get("/topics/jpeg.jpg").body, jpeg);
    let _none = write("none", "image/jpeg", b"<script>");
    let _h264 = write("h264", "video/x-h264, stream-format=byte-stream", b"\0\0\0\x01");
    let _bytes = dir.producer("bytes");
    _bytes.write(b"x").unwrap();
    for (topic, says) in [
        ("none", "frames are none"),
        ("h264", "encoded (video/x-h264), and are not decoded here"),
        ("bytes", "do not say that they are pictures"),
    ] {
        for ending in ["jpg", "frame", "mjpg"] {
            let answer = server.get(&format!("/topics/{topic}.{ending}"));
            assert!(
                answer.status == 415 && answer.text().contains(says),
                "{topic}.{ending}: {}",
                answer.text()
            );
            assert_eq!(answer.text().lines().count(), 1);
        }
    }
    let told = server.get("/api/topics/h264").json();
    assert!(told["no_picture"].as_str().unwrap().contains("encoded"), "{told}");
    let unknown = server.get("/topics/jepg.jpg");
    assert!(unknown.status == 404 && unknown.text().contains("did you mean `jpeg`"), "{}", unknown.text());
    let _empty = dir.producer("empty");
    let answer = server.get("/topics/empty.jpg?wait=0");
    assert!(answer.status == 503 && answer.text().contains("no frame yet"), "{}", answer.text());
}

#[test]
fn only_those_who_ask_by_a_known_name_are_answered() {
    let dir = Dir::new();
    let server = Server::start(&dir, &["--host", "robot.lan"]);
    let status = |headers: &str| server.ask("/api/topics", headers).status;
    for host in ["localhost", "LocalHost:99", "127.0.0.1", "[::1]:8080", "robot.lan:1"] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "", "a b"] {
        let answer = server.ask("/", &format!("Host: {host}\r\n"));
        assert!(answer.status == 403 && answer.text().contains("--host"), "{host}: {}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    // Other pages may link here, and no more.
    assert_eq!(status("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"), 403);
    assert_eq!(status("Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n"), 403);
    assert_eq!(status("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"), 200);
    assert_eq!(status("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n"), 200);
}

#[test]
fn with_a_token_only_those_who_have_it_are_answered() {
    let dir = Dir::new();
    let _camera = picture(&dir, "cam", [9; 3]);
    let server = Server::start(&dir, &["--token"]);
    let token = server.url.split_once("/?token=").unwrap().1.to_owned();
    assert!(token.len() == 32 && token.chars().all(|c| c.is_ascii_hexdigit()), "{token}");
    for path in [
        "/",
        "/api/topics",
        "/metrics",
        "/topics/cam.jpg",
        "/topics/cam.mjpg",
        "/page/app.js",
        "/?token=",
        "/none",
    ] {
        let answer = server.get(path);
        assert!(answer.status == 401 && answer.text().contains("wants a token"), "{path}: {}", answer.status);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(server.ask("/", "Authorization: Bearer wrong\r\n").status, 401);
    assert_eq!(server.ask("/metrics", &format!("Authorization: Bearer {token}\r\n")).status, 200);
    let welcome = server.get(&format!("/?token={token}"));
    assert_eq!((welcome.status, welcome.header("location")), (303, Some("/")));
    let cookie = welcome.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; Path=/"), "{cookie}");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!(server.ask("/topics/cam.jpg", &cookie).status, 200);
    assert_eq!(server.ask("/", &cookie.replace(&token, "0123456789abcdef0123456789abcdef")).status, 401);
    // Nobody with a page can have the name of another host lead here, not even with the token.
    assert_eq!(server.ask("/", &format!("Host: evil.example\r\n{cookie}")).status, 403);
    // Elsewhere than on this machine there is always one.
    let open = dir.command(&["serve", "--listen", "0.0.0.0:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut open = Server { child: open, url: String::new() };
    BufReader::new(open.child.stdout.take().unwrap()).read_line(&mut open.url).unwrap();
    assert!(open.url.contains("/?token="), "{}", open.url);
    let secret =
        dir.command(&["serve", "--listen", "127.0.0.1:0"]).env("SHMFLOW_TOKEN", "short").output().unwrap();
    assert!(String::from_utf8_lossy(&secret.stderr).contains("at least 16 characters"));
    for bad in ["short", "0123456789abcdef;x"] {
        let ran = dir.run(&["serve", "--token", bad]);
        assert!(ran.status() == 1 && ran.err().contains("at least 16 characters"), "{}", ran.err());
    }
}

#[test]
fn a_directory_that_is_not_there_yet_is_told() {
    let dir = Dir::new();
    let missing = dir.0.join("later");
    let server = Server::start(&dir, &["--dir", missing.to_str().unwrap()]);
    assert_eq!(server.get("/").status, 200);
    let answer = server.get("/api/topics");
    assert!(
        answer.status == 500 && answer.json()["error"].as_str().unwrap().contains("later"),
        "{}",
        answer.text()
    );
    std::fs::create_dir(&missing).unwrap();
    assert_eq!(server.get("/api/topics").status, 200);
    let ask = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(ask.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 405"), "{text}");
}
