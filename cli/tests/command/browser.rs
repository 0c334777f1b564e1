//! What a person sees of `serve`, in a real browser: Debian's Chromium without a window.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shmflow::Producer;
use shmflow::meta::{Detections, Finding, Meta, Object};

use crate::support::{Dir, LONG, base64};
use crate::web::{Server, builder, coloured, picture};

/// A browser with one page, steered by the DevTools protocol through its pipes.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    count: u64,
    session: Option<String>,
    profile: PathBuf,
    /// What the page complained of.
    complaints: Vec<String>,
}

impl Browser {
    fn open(width: u32, height: u32, dark: bool) -> Self {
        let profile = std::env::temp_dir().join(format!("shmflow-browser-{}-{width}", std::process::id()));
        // It reads commands from descriptor 3, and writes answers to 4.
        let line = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null";
        let mut child = Command::new("sh")
            .args([
                "-c",
                line,
                "sh",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .args(["--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser = Self { child, to, from, count: 0, session: None, profile, complaints: Vec::new() };
        let page = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", &json!({ "targetId": page, "flatten": true }));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", &size);
        let colours =
            json!([{ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } }]);
        browser.call("Emulation.setEmulatedMedia", &json!({ "features": colours }));
        browser.call("Runtime.enable", &json!({}));
        browser.call("Log.enable", &json!({}));
        browser
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.count += 1;
        let mut message = json!({ "id": self.count, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser has ended: is chromium installed? (make deps)");
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            if answer["method"] == "Runtime.exceptionThrown" {
                self.complaints.push(answer["params"]["exceptionDetails"].to_string());
            } else if answer["method"] == "Log.entryAdded"
                && answer["params"]["entry"]["source"] == "security"
            {
                self.complaints.push(answer["params"]["entry"]["text"].to_string());
            }
            if answer["id"] == self.count {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn go(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
    }

    /// The value of an expression in the page.
    fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.call("Runtime.evaluate", &params)["result"]["value"].clone()
    }

    fn text(&mut self) -> String {
        self.eval("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    fn wait(&mut self, expression: &str) {
        let start = Instant::now();
        while self.eval(expression) != true {
            assert!(start.elapsed() < LONG, "{expression}\n{}\n{:?}", self.text(), self.complaints);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn press(&mut self, key: &str) {
        let text = if key.len() == 1 {
            key
        } else if key == "Enter" {
            "\r"
        } else {
            ""
        };
        for kind in ["keyDown", "keyUp"] {
            let params =
                json!({ "type": kind, "key": key, "text": if kind == "keyDown" { text } else { "" } });
            self.call("Input.dispatchKeyEvent", &params);
        }
    }

    /// Red, green and blue of each pixel on the screen, and its width.
    fn screenshot(&mut self) -> (usize, Vec<u8>) {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        // The browser itself knows how to read base64.
        let bytes = base64(shot["data"].as_str().unwrap());
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let channels = info.color_type.samples();
        pixels.truncate(info.buffer_size());
        let rgb = pixels.chunks(channels).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        (info.width as usize, rgb)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its own children end a moment later, and write until then.
        let start = Instant::now();
        while std::fs::remove_dir_all(&self.profile).is_err()
            && self.profile.exists()
            && start.elapsed() < LONG
        {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn detected(colour: [u8; 3]) -> (Meta, Vec<u8>) {
    let (meta, bytes) = coloured(colour);
    let found = Detections::new(vec![Finding::Object(Object::new("cat", 0.5, 80, 60, 160, 90))], Vec::new());
    (meta.entry(&found).unwrap(), bytes)
}

/// How many pixels on the screen have about this colour.
fn count(pixels: &[u8], colour: [u8; 3]) -> usize {
    let near = |pixel: &[u8]| pixel.iter().zip(colour).all(|(one, other)| one.abs_diff(other) <= 8);
    pixels.chunks(3).filter(|pixel| near(pixel)).count()
}

#[test]
fn a_person_sees_topics_pictures_and_what_was_found_in_them() {
    let dir = Dir::new();
    let front = builder(&dir, "robot/front").description("Front door").open().unwrap();
    let (meta, bytes) = detected([200, 0, 0]);
    front.write_with(&bytes, &meta).unwrap();
    let _rear = picture(&dir, "robot/rear", [0, 0, 200]);
    let log = Producer::builder("log").dir(&dir.0).name("logger").open().unwrap();
    log.write(b"a line").unwrap();
    let _hostile = picture(&dir, "<b onclick=x>&amp;", [10, 120, 10]);
    std::fs::write(dir.0.join("shmflow.broken.peers"), "junk").unwrap();
    let server = Server::start(&dir, &[]);
    let mut browser = Browser::open(1200, 900, false);
    let url = server.url.clone();
    browser.go(&url);
    browser.wait("document.querySelectorAll('.card .shown').length === 3");
    let text = browser.text();
    for part in [
        "5 topics, 4 live",
        "unreadable",
        "is not a ring",
        "robot/",
        "front",
        "rear",
        "RGB 320×180 · Front door",
        "<b onclick=x>&amp;",
        "do not say that they are pictures",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (width, pixels) = browser.screenshot();
    assert_eq!(width, 1200);
    for colour in [[200, 0, 0], [0, 0, 200], [10, 120, 10]] {
        let seen = count(&pixels, colour);
        assert!(seen > 10_000, "{colour:?}: {seen}");
    }
    // The box: a line of another colour around the middle of the picture, where nothing else is drawn.
    let box_colour = browser.eval(
        "(() => { const card = [...document.querySelectorAll('.card')].find((one) => one.title === 'robot/front');
           const canvas = card.querySelector('canvas'); const data = canvas.getContext('2d');
           const at = (x, y) => [...data.getImageData(x, y, 1, 1).data].slice(0, 3);
           return [at(80, 100), at(160, 150), at(160, 100)]; })()",
    );
    let colour = |value: &Value| -> Vec<i64> {
        value.as_array().unwrap().iter().map(|it| it.as_i64().unwrap()).collect()
    };
    let is_red = |value: &Value| colour(value)[0] > 180 && colour(value)[1] < 20;
    assert!(!is_red(&box_colour[0]) && !is_red(&box_colour[1]) && is_red(&box_colour[2]), "{box_colour}");

    // What changes is seen.
    let (meta, bytes) = coloured([0, 200, 200]);
    front.write_with(&bytes, &meta).unwrap();
    browser.wait(
        "(() => { const pixel = document.querySelector('.card[title=\"robot/front\"] canvas').getContext('2d').getImageData(160, 100, 1, 1).data;
           return pixel[0] < 20 && pixel[1] > 180; })()",
    );

    // One topic, by the keyboard.
    browser.press("/");
    for key in ["f", "r", "o", "n", "t"] {
        browser.press(key);
    }
    browser.wait("document.querySelectorAll('.card').length === 1");
    browser.eval("document.querySelector('.card').focus()");
    browser.press("Enter");
    browser.wait(
        "document.querySelector('#detail .shown') !== null && document.querySelectorAll('tr').length > 1",
    );
    let (meta, bytes) = detected([200, 0, 0]);
    front.write_with(&bytes, &meta).unwrap();
    browser.wait("document.querySelector('.meta').textContent.includes('\"cat\"')");
    browser.wait("document.querySelector('.participants').innerText.includes('shmflow serve')");
    let text = browser.text();
    for part in [
        "robot/front",
        "Front door",
        "camera",
        "producer",
        "consumer",
        "Lost frames a second",
        "video",
        "8 deep + 2 spare",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(count(&browser.screenshot().1, [200, 0, 0]) > 50_000);
    browser.press("Escape");
    browser.wait("document.querySelector('#detail').hidden && !document.querySelector('#overview').hidden");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn a_person_sees_what_is_not_there() {
    let dir = Dir::new();
    let server = Server::start(&dir, &["--token", "0123456789abcdef"]);
    let mut browser = Browser::open(400, 800, true);
    let url = server.url.clone();
    browser.go(&url);
    browser.wait("document.body.innerText.includes('no topic yet: try gst-launch-1.0 videotestsrc ! shmflowsink topic=video')");
    assert_eq!(browser.eval("location.search"), "", "the token is in no history");
    let ground = browser.screenshot().1;
    assert!(ground[..3].iter().all(|value| *value < 60), "dark: {:?}", &ground[..3]);
    // A topic that comes, goes, and comes again.
    let producer = picture(&dir, "cam", [200, 100, 0]);
    browser.wait("document.querySelectorAll('.card .shown').length === 1");
    assert!(browser.eval("document.documentElement.scrollWidth <= 400") == true, "it fits a telephone");
    browser.eval("location.hash = '#topic=cam'");
    browser.wait("document.querySelector('#detail .shown') !== null");
    producer.end();
    drop(producer);
    browser.wait("document.querySelector('#detail').innerText.includes('no such topic now')");
    let _producer = picture(&dir, "cam", [0, 100, 200]);
    browser.wait("document.querySelector('#detail .shown') !== null");
    drop(server);
    browser.wait("document.querySelector('#trouble').innerText.includes('still running')");
    assert!(!browser.complaints.iter().any(|text| text.contains("Error")), "{:?}", browser.complaints);
}
